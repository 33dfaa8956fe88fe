#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/config.h"
#include "tests/core/mutate.h"
#include "tests/core/raises.h"

namespace heed {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Config json(const std::string& text) { return parse_json(text, "a.json"); }

std::string json_error(const std::string& text) {
  return request_error([&] { json(text); });
}

TEST(Json, ParsesEveryKindAndKnowsItsPlace) {
  const Config c =
      json("{\"a\": [1, -2.5e3,\n \"x\\u00e9\", true],\n  \"b\": {\"c\": null}, \"d\":7}");
  EXPECT_EQ(c, Config(Config::Map{{"a", Config(Config::List{1, -2500.0, "x\xc3\xa9", true})},
                                  {"b", Config(Config::Map{{"c", Config()}})},
                                  {"d", 7}}));
  EXPECT_EQ(c.where().to_string(), "a.json:1:1");
  EXPECT_EQ(c.at("a").where().to_string(), "a.json:1:7");
  EXPECT_EQ(c.at("a").as_list()[0].where().to_string(), "a.json:1:8");
  EXPECT_EQ(c.at("a").as_list()[1].where().to_string(), "a.json:1:11");
  EXPECT_EQ(c.at("a").as_list()[2].where().to_string(), "a.json:2:2");
  EXPECT_EQ(c.at("a").as_list()[3].where().to_string(), "a.json:2:13");
  EXPECT_EQ(c.at("b").key_where().to_string(), "a.json:3:3");
  EXPECT_EQ(c.at("b").at("c").where().to_string(), "a.json:3:14");
  EXPECT_EQ(c.at("d").key_where().to_string(), "a.json:3:21");
  EXPECT_EQ(c.at("d").where().to_string(), "a.json:3:25");
}

TEST(Json, IntegersBeyond64BitsBecomeNumbers) {
  EXPECT_EQ(json("9223372036854775807").as_integer(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(json("-9223372036854775808").as_integer(), std::numeric_limits<int64_t>::min());
  EXPECT_STREQ(json("9223372036854775808").kind(), "number");
  EXPECT_EQ(json("1000000000000000019884624838656").as_number(), 1e30);
}

TEST(Json, ErrorsCarryLineAndColumn) {
  EXPECT_THAT(json_error("{\"a\": 1,\n \"b\": ]}"), StartsWith("a.json:2:7: syntax error"));
  EXPECT_THAT(json_error("[1, 2"), StartsWith("a.json:1:6: syntax error"));
  EXPECT_THAT(json_error(""), StartsWith("a.json:1:1: syntax error"));
  EXPECT_THAT(json_error("[1] x"), StartsWith("a.json:1:5: syntax error"));
  EXPECT_THAT(json_error("[NaN]"), StartsWith("a.json:1:2: syntax error"));
  EXPECT_THAT(json_error("[\"\xff\"]"), HasSubstr("UTF-8"));
  EXPECT_THAT(json_error("[1e999]"), HasSubstr("1e999"));
  EXPECT_EQ(json_error("{\"a\": 1,\n\"a\": 2}"),
            "a.json:2:1: the key 'a' was already given at 1:2");
  EXPECT_THAT(json_error(std::string(100000, '[')), StartsWith("a.json:1:65: nested deeper"));
  EXPECT_EQ(json_error(std::string(64, '[') + std::string(64, ']')), "no error");
}

TEST(Json, WrittenTextParsesBack) {
  Config c = Config::map();
  c.set("numbers", Config(Config::List{1.0, 0.1, 1e300, -0.0, 5e-324, 1e20, 123456789012345678}));
  c.set("strings",
        Config(Config::List{"", "\"\\/\b\f\n\r\t", std::string("\0\x1f", 2), "\xc3\xbc"}));
  c.set("empty", Config(Config::List{Config::map(), Config::list(), Config(), true, false}));
  for (int indent : {-1, 0, 2}) {
    const std::string text = c.to_json(indent);
    EXPECT_EQ(json(text), c) << text;
    EXPECT_EQ(json(text).to_json(indent), text);
  }
  EXPECT_STREQ(json(c.to_json()).at("numbers").as_list()[0].kind(), "number");
}

TEST(Json, WritesWhatJsonLacksAsNullAndBrokenTextAsReplacement) {
  EXPECT_EQ(Config(Config::List{std::nan(""), HUGE_VAL}).to_json(), "[null, null]");
  EXPECT_EQ(Config("a\xff").to_json(), "\"a\xef\xbf\xbd\"");
}

TEST(Json, Indents) {
  EXPECT_EQ(json("{\"a\":[1,{}],\"b\":[]}").to_json(2),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Json, DamagedTextIsReadOrRefused) {
  const std::string good =
      R"({"a": [1, -2.5e3, "x\u00e9", true], "b": {"c": null, "d": [[], {}]}, "e": 7})";
  ASSERT_EQ(json_error(good), "no error");
  int read = 0, refused = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    try {
      const Config c = json(mutate(good, seed));
      EXPECT_EQ(json(c.to_json()), c) << seed;
      ++read;
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), StartsWith("a.json:"));
      ++refused;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace heed
