#include "core/readable.h"

#include <gtest/gtest.h>

namespace heed {
namespace {

TEST(Readable, Grouped) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-1003854), "-1,003,854");
  EXPECT_EQ(grouped(-100), "-100");
}

TEST(Readable, Compact) {
  EXPECT_EQ(compact(0), "0");
  EXPECT_EQ(compact(812), "812");
  EXPECT_EQ(compact(999.6), "1.00k");
  EXPECT_EQ(compact(81234), "81.2k");
  EXPECT_EQ(compact(1.234e6), "1.23M");
  EXPECT_EQ(compact(-2.5e9), "-2.50G");
}

TEST(Readable, Duration) {
  EXPECT_EQ(duration_text(0.0123), "12.3 ms");
  EXPECT_EQ(duration_text(8.2), "8.2 s");
  EXPECT_EQ(duration_text(59.4), "59 s");
  EXPECT_EQ(duration_text(59.6), "1 min 00 s");
  EXPECT_EQ(duration_text(72), "1 min 12 s");
  EXPECT_EQ(duration_text(7380), "2 h 03 min");
}

TEST(Readable, NamesOfFields) {
  EXPECT_EQ(spaced("bits_per_byte"), "bits per byte");
  EXPECT_EQ(titled("macro_f1"), "Macro f1");
  EXPECT_EQ(titled(""), "");
}

}  // namespace
}  // namespace heed
