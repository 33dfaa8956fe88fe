#include "core/shared_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace heed {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(SharedLibrary, FindsFunctionsByName) {
  const SharedLibrary library("libm.so.6", "/nowhere", "a C library");
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
  EXPECT_THAT(error_of([] { SharedLibrary("libnone.so.7", "/nowhere", "None 7"); }),
              AllOf(HasSubstr("libnone.so.7 cannot be opened"), HasSubstr("/nowhere/libnone.so.7"),
                    HasSubstr("No such file"), HasSubstr("install None 7")));
  const SharedLibrary library("libm.so.6", "/nowhere", "a C library");
  EXPECT_THAT(error_of([&] { library.find("no_such_function"); }),
              AllOf(HasSubstr("libm.so.6 has no function no_such_function"),
                    HasSubstr("undefined symbol"), HasSubstr("install a C library")));
}

}  // namespace
}  // namespace heed
