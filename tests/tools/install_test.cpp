// An installed heed is found by find_package, and a program builds and runs against it.
#include <gmock/gmock.h>

#include "heed_command.h"

namespace heed::tools {
namespace {

using ::testing::HasSubstr;

class Install : public CommandTest {
 protected:
  std::string must(const std::vector<std::string>& command) const {
    const Outcome outcome = run_program(command);
    EXPECT_EQ(outcome.status, 0) << command[0] << "\n" << outcome.out << outcome.err;
    return outcome.out;
  }
};

TEST_F(Install, ServesAProgramOfItsOwn) {
  must({"cmake", "--install", HEED_BINARY_DIR, "--prefix", path("prefix")});
  must({"cmake", "-S", source_path("examples/library"), "-B", "example", "-G", "Ninja",
        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + path("prefix")});
  must({"cmake", "--build", "example"});
  const std::string output = must({path("example/example")});
  const size_t last = output.rfind("loss ");
  ASSERT_NE(last, std::string::npos) << output;
  EXPECT_LT(std::stod(output.substr(last + 5)), 0.01) << output;  // sin has variance 0.5

  EXPECT_THAT(must({path("prefix/bin/heed"), "list", "recipes"}), HasSubstr("quickstart.yaml"));
}

}  // namespace
}  // namespace heed::tools
