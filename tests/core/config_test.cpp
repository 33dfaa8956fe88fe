#include "core/config.h"

#include <gtest/gtest.h>

#include "tests/core/raises.h"

namespace heed {
namespace {

TEST(Config, SetsFindsAndErases) {
  Config c;
  c.set("a", 1);
  c.set("b", "x");
  c.set("a", 2.5);
  EXPECT_EQ(c.keys(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(c.at("a").as_number(), 2.5);
  EXPECT_EQ(c.find("z"), nullptr);
  c.erase("a");
  EXPECT_FALSE(c.has("a"));
  Config list;
  list.append(1);
  list.append(true);
  EXPECT_EQ(list, Config(Config::List{1, true}));
}

TEST(Config, EqualityLooksAtValuesAlone) {
  const Config a(Config::Map{{"x", 1}, {"y", Config::list()}});
  const Config b(Config::Map{{"y", Config::list()}, {"x", 1.0}});
  EXPECT_EQ(a, b);
  EXPECT_NE(a, Config(Config::Map{{"x", 1}, {"z", Config::list()}}));
  EXPECT_NE(a, Config(Config::Map{{"x", 1}}));
  EXPECT_NE(Config(1), Config(true));
  EXPECT_NE(Config("1"), Config(1));
  EXPECT_NE(Config(int64_t{1} << 62), Config((int64_t{1} << 62) + 1));
}

TEST(Config, WrongKindsSayWhatAndWhere) {
  const Config c = parse_yaml("a: abc\nb: [1]\nc: 2.5\n", "r.yaml");
  EXPECT_EQ(request_error([&] { c.at("a").as_integer(); }),
            "r.yaml:1:4: expected an integer, got string 'abc'");
  EXPECT_EQ(request_error([&] { c.at("b").as_map(); }), "r.yaml:2:4: expected a map, got a list");
  EXPECT_EQ(request_error([&] { c.at("c").as_integer(); }),
            "r.yaml:3:4: expected an integer, got number 2.5");
  EXPECT_EQ(request_error([&] { c.at("d"); }), "r.yaml:1:1: 'd' is missing (did you mean 'a'?)");
  EXPECT_EQ(request_error([&] { Config(3).set("a", 1); }), "expected a map, got integer 3");
}

}  // namespace
}  // namespace heed
