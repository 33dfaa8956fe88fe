#include "core/shared_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

using ::testing::HasSubstr;

TEST(SharedLibrary, FindsFunctionsByName) {
  const SharedLibrary library("libm.so.6", "/nowhere");
  double (*const power)(double, double) = library.find("pow");
  EXPECT_EQ(power(2.0, 10.0), 1024.0);
}

TEST(SharedLibrary, SaysWhatIsMissing) {
  const auto error_of = [](const auto& fn) -> std::string {
    try {
      fn();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(error_of([] { SharedLibrary("libnone-of-this-name.so.7", "/nowhere"); }),
              HasSubstr("libnone-of-this-name.so.7 cannot be opened"));
  const SharedLibrary library("libm.so.6", "/nowhere");
  EXPECT_THAT(error_of([&] { library.find("no_such_function"); }),
              HasSubstr("libm.so.6 has no function no_such_function"));
}

}  // namespace
}  // namespace heed
