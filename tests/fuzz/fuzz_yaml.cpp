// parse_yaml on any text; what it accepts must survive being written and parsed again, and is read
// as the options of a struct with every kind of field.
#include <string>

#include "core/options.h"
#include "tests/fuzz/harness.h"

namespace {

struct Item {
  std::string a = "x";
  std::optional<double> b;
  void options(heed::Options& o) {
    o.field("a", a, "text", {.one_of = {"x", "y"}});
    o.field("b", b, "number", {.min = 0, .below = 10});
  }
};

struct Everything {
  bool a = false;
  int64_t b = 1;
  double c = 0.5;
  std::string d = "text";
  std::vector<int64_t> e = {1, 2};
  std::vector<double> f;
  std::vector<std::string> g;
  std::optional<int64_t> h;
  heed::Config i;
  Item j;
  std::vector<Item> k;
  void options(heed::Options& o) {
    o.field("a", a, "bool");
    o.field("b", b, "integer", {.min = -5, .max = 1e6});
    o.field("c", c, "number", {.above = 0});
    o.field("d", d, "text");
    o.field("e", e, "integers");
    o.field("f", f, "numbers");
    o.field("g", g, "texts");
    o.field("h", h, "integer or null");
    o.field("i", i, "anything");
    o.field("j", j, "struct");
    o.list("k", k, "structs");
    o.check(b != 3, "b", "not 3");
  }
};

void check_text(const heed::Config& value) {
  const std::string written = value.to_yaml();
  const heed::Config again = heed::parse_yaml(written, "written");
  heed::promise(again == value, "YAML written parses back to an equal value");
  heed::promise(again.to_yaml() == written, "and is written the same");
}

void check_options(const Everything& options) {
  const heed::Config written = heed::write_options(options);
  const auto again = heed::read_options<Everything>(written, "everything");
  heed::promise(heed::write_options(again) == written, "options written read back");
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const heed::Config value = heed::parse_yaml(text, "input");
    heed::never_refused([&] { check_text(value); });
    const auto options = heed::read_options<Everything>(value, "everything");
    heed::never_refused([&] { check_options(options); });
  });
}
