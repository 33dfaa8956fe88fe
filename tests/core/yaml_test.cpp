#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "core/config.h"
#include "tests/core/mutate.h"
#include "tests/core/raises.h"
#include "tests/core/temp_folder.h"

namespace heed {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Config yaml(const std::string& text) { return parse_yaml(text, "a.yaml"); }

std::string yaml_error(const std::string& text) {
  return request_error([&] { yaml(text); });
}

TEST(Yaml, ResolvesScalarsByTheCoreSchema) {
  const Config c = yaml(
      "[12, -3, +4, 0x1F, 0o17, 1.5, 1e-3, .5, 1., -2E+2, .inf, -.inf, true, False, null, ~, "
      "1_000, 0x, 1e, abc, '12', \"true\", 08, 1.2.3, yes, .nan, '']");
  const Config::List& v = c.as_list();
  ASSERT_EQ(v.size(), 27u);
  const double inf = std::numeric_limits<double>::infinity();
  const Config expected(Config::List{12,       -3,       4,       31,    15,           1.5,   1e-3,
                                     .5,       1.0,      -200.0,  inf,   -inf,         true,  false,
                                     Config(), Config(), "1_000", "0x",  "1e",         "abc", "12",
                                     "true",   8,        "1.2.3", "yes", std::nan(""), ""});
  for (size_t i = 0; i < v.size(); ++i) {
    EXPECT_EQ(v[i], expected.as_list()[i]) << i << ": " << v[i].summary();
    EXPECT_STREQ(v[i].kind(), expected.as_list()[i].kind()) << i;
  }
}

TEST(Yaml, KnowsWhereEveryValueStands) {
  const Config c = yaml("model:\n  type: gpt\n  layers: [4,\n    5]\nempty:\nlast: 1\n");
  EXPECT_EQ(c.at("model").at("type").where().to_string(), "a.yaml:2:9");
  EXPECT_EQ(c.at("model").at("type").key_where().to_string(), "a.yaml:2:3");
  EXPECT_EQ(c.at("model").at("layers").as_list()[1].where().to_string(), "a.yaml:4:5");
  EXPECT_TRUE(c.at("empty").is_null());
  EXPECT_EQ(c.at("empty").where().to_string(), "a.yaml:5:1");
  EXPECT_EQ(c.keys(), (std::vector<std::string>{"model", "empty", "last"}));
}

TEST(Yaml, ErrorsCarryLineAndColumn) {
  EXPECT_THAT(yaml_error("a: 1\nb: [1, 2\nc: 3\n"), StartsWith("a.yaml:3:"));
  EXPECT_THAT(yaml_error("a: 1\n b: 2\n"), StartsWith("a.yaml:2:"));
  EXPECT_EQ(yaml_error("a: 1\nb: 2\na: 3\n"), "a.yaml:3:1: the key 'a' was already given at 1:1");
  EXPECT_EQ(yaml_error("a: 99999999999999999999\n"),
            "a.yaml:1:4: the integer 99999999999999999999 does not fit into 64 bits (quote it to "
            "make it a string)");
  EXPECT_EQ(yaml_error("a: 1e999"), "a.yaml:1:4: the number 1e999 is too large for a double");
  EXPECT_EQ(yaml_error("a: 1\n---\nb: 2\n"), "a.yaml:2:1: a second document; only one is read");
  EXPECT_EQ(yaml_error("a: b\x01"), "a.yaml:1:5: the control character 0x01 in YAML");
  EXPECT_EQ(yaml_error("a: \xff\n"), "a.yaml:1:4: a byte that is not UTF-8");
  EXPECT_THAT(yaml_error("a: \"x\\N\""), StartsWith("a.yaml:1:4: the escapes \\N and \\_"));
  EXPECT_EQ(yaml("a: \"\\u0085\"").at("a").as_string(), "\xc2\x85");
  EXPECT_EQ(yaml_error("[a, b]: 1"), "a.yaml:1:1: a key must be a scalar");
  EXPECT_EQ(yaml_error("~: 1"), "a.yaml:1:1: a key must be a scalar, and not null");
  EXPECT_EQ(yaml_error("a: !thing 1"), "a.yaml:1:4: the tag '!thing' is not known");
  EXPECT_EQ(yaml_error("a: !!int x"), "a.yaml:1:4: the tag !!int on 'x'");
  EXPECT_THAT(yaml_error("a: *b"), StartsWith("a.yaml:1:4: "));
  EXPECT_THAT(yaml_error("a: &b\n  c: *b\n"), StartsWith("a.yaml:2:6: "));
  EXPECT_THAT(yaml_error("a: &x {b: 1}\nc:\n  <<: *x\n"), HasSubstr("merge keys"));
}

TEST(Yaml, TagsOverrideTheSchema) {
  const Config c = yaml("[!!str 12, !!float 1, ! 3, !!int '7']");
  EXPECT_EQ(c, Config(Config::List{"12", 1.0, "3", 7}));
  EXPECT_STREQ(c.as_list()[1].kind(), "number");
}

TEST(Yaml, AliasesAreCopies) {
  const Config c = yaml("a: &x {b: [1, 2]}\nc: *x\n");
  EXPECT_EQ(c.at("c"), c.at("a"));
  EXPECT_EQ(c.at("c").where().to_string(), "a.yaml:2:4");
}

TEST(Yaml, HostileTextIsRefused) {
  for (const char* unit : {"[", "{a: ", "- ", "? ", "[{", "&a [", "!!seq ["}) {
    std::string deep;
    for (int i = 0; i < 100000; ++i) deep += unit;
    EXPECT_NE(yaml_error(deep), "no error") << unit;
  }
  EXPECT_THAT(yaml_error(std::string(65, '[') + std::string(65, ']')),
              StartsWith("a.yaml:1:65: nested deeper than 64"));
  EXPECT_EQ(yaml_error(std::string(64, '[') + std::string(64, ']')), "no error");

  std::string laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n";
  for (int i = 1; i < 12; ++i) {
    laughs += fmt::format("a{}: &a{} [", i, i);
    for (int j = 0; j < 9; ++j) laughs += fmt::format("*a{}, ", i - 1);
    laughs += "]\n";
  }
  EXPECT_THAT(yaml_error(laughs), HasSubstr("the aliases expand to more than 16 MiB"));

  std::string chain = "a0: &a0 [1]\n";  // each alias is small, their nesting is not
  for (int i = 1; i < 100; ++i) chain += fmt::format("a{}: &a{} [*a{}]\n", i, i, i - 1);
  EXPECT_THAT(yaml_error(chain), HasSubstr("nested deeper than 64"));
}

TEST(Yaml, EmptyTextIsNull) {
  EXPECT_TRUE(yaml("").is_null());
  EXPECT_TRUE(yaml("# nothing\n").is_null());
}

TEST(Yaml, WrittenTextParsesBack) {
  const double tiny = std::numeric_limits<double>::denorm_min();
  Config c = Config::map();
  Config::List strings;
  for (const char* s : {"plain",
                        "two words",
                        "true",
                        "null",
                        "~",
                        "12",
                        "1e3",
                        "0x1F",
                        ".inf",
                        "",
                        " lead",
                        "trail ",
                        "a: b",
                        "a #b",
                        "- x",
                        "-x",
                        "[",
                        "{}",
                        "*a",
                        "&a",
                        "!t",
                        "'q'",
                        "\"d\"",
                        "back\\slash",
                        "line\nbreak\r\ttab",
                        "\x01\x1f\x7f",
                        "%a",
                        "@a",
                        "`",
                        "...",
                        "---",
                        "99999999999999999999",
                        "1e999",
                        "=",
                        "<<",
                        "gr\xc3\xbc\xc3\x9f",
                        "\xf0\x9f\x99\x82",
                        "\xc2\x85",
                        "\xe2\x80\xa8",
                        "?",
                        ": ",
                        ",",
                        "a,b",
                        "0o17",
                        "+1",
                        "path/to/file.txt",
                        "1.2.3"}) {
    strings.emplace_back(s);
    c.set(s, s);
  }
  c.set(std::string(2000, 'k'), Config(Config::Map{{std::string(1500, '"'), 1}}));
  c.set("long", Config(Config::List{Config(Config::Map{{std::string(1100, 'x'), Config::list()}}),
                                    std::string(5000, 'v')}));
  c.set("nul", std::string("a\0b", 3));
  c.set("strings", strings);
  c.set("numbers", Config(Config::List{1.0, 0.1, 1e300, tiny, -0.0, 1e20, HUGE_VAL, -HUGE_VAL,
                                       std::nan(""), std::numeric_limits<int64_t>::min()}));
  c.set("nested", Config(Config::List{Config::map(), Config::list(), Config(),
                                      Config(Config::List{Config(Config::List{1, 2}), strings}),
                                      Config(Config::Map{{"a", Config(Config::Map{{"b", 1}})},
                                                         {"c", Config(strings)}})}));
  const std::string text = c.to_yaml();
  const Config back = yaml(text);
  EXPECT_EQ(back, c) << text;
  EXPECT_EQ(back.to_yaml(), text);
  EXPECT_STREQ(back.at("numbers").as_list()[0].kind(), "number");
  for (const Config& scalar : strings) EXPECT_EQ(yaml(scalar.to_yaml()), scalar);
}

TEST(Yaml, WritesBlocksAndShortLists) {
  const char* text =
      "model:\n"
      "  type: gpt\n"
      "  betas: [0.9, 0.99]\n"
      "groups:\n"
      "  - match: \"*.bias\"\n"
      "    decay: 0.0\n"
      "  - match: all\n"
      "empty: {}\n";
  EXPECT_EQ(yaml(text).to_yaml(), text);
}

TEST(Yaml, MissingFileSuggestsTheNearest) {
  const std::string dir = temp_folder() + "suggest";
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/recipe.yaml") << "a: 1\n";
  EXPECT_EQ(read_yaml_file(dir + "/recipe.yaml").at("a").as_integer(), 1);
  EXPECT_EQ(request_error([&] { read_yaml_file(dir + "/recpie.yaml"); }),
            fmt::format("cannot read '{0}/recpie.yaml': No such file or directory (did you mean "
                        "'{0}/recipe.yaml'?)",
                        dir));
  EXPECT_THAT(request_error([&] { read_yaml_file(dir); }), HasSubstr("Is a directory"));
}

TEST(Yaml, DamagedTextIsReadOrRefused) {
  const std::string good =
      "model:\n  type: gpt\n  betas: [0.9, 1e-3, .inf]\n  text: \"a\\tb\"\ngroups:\n  - &x {match: "
      "'*.b', decay: 0}\n  - *x\n  - |\n    block\n    text\n? k\n: !!str 3\n# end\n";
  ASSERT_EQ(yaml_error(good), "no error");
  int read = 0, refused = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    try {
      const Config c = yaml(mutate(good, seed));
      EXPECT_EQ(yaml(c.to_yaml()), c) << seed;
      ++read;
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), StartsWith("a.yaml:"));
      ++refused;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace heed
