// An installed heed is found by find_package, and programs in C++, C and Python use it.
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
  void install() const {
    must({"cmake", "--install", HEED_BINARY_DIR, "--prefix", path("prefix")});
  }
  void build(const std::string& name) const {
    must({"cmake", "-S", source_path("examples/" + name), "-B", "example", "-G", "Ninja",
          "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + path("prefix")});
    must({"cmake", "--build", "example"});
  }
  /// What `heed generate` writes after a prompt, as the examples do.
  std::string continued(const std::string& prompt) const {
    return must({path("prefix/bin/heed"), "generate", "run", "--prompt", prompt, "--max-tokens",
                 "100", "--greedy"});
  }
};

TEST_F(Install, ServesAProgramOfItsOwn) {
  install();
  build("library");
  const std::string output = must({path("example/example")});
  const size_t last = output.rfind("loss ");
  ASSERT_NE(last, std::string::npos) << output;
  EXPECT_LT(std::stod(output.substr(last + 5)), 0.01) << output;  // sin has variance 0.5

  EXPECT_THAT(must({path("prefix/bin/heed"), "list", "recipes"}), HasSubstr("quickstart.yaml"));
}

TEST_F(Install, ServesAProgramInC) {
  install();
  build("c");
  must({path("prefix/bin/heed"), "train", write_tiny_recipe("tiny.yaml"), "--out", "run"});
  EXPECT_EQ(must({path("example/example"), "run", "the "}), continued("the "));
  const Outcome wrong = run_program({path("example/example"), "nothing", "the "});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("nothing"));
}

TEST_F(Install, ServesPythonByCtypes) {
  install();
  must({path("prefix/bin/heed"), "train", write_tiny_recipe("tiny.yaml"), "--out", "run"});
  EXPECT_EQ(must({"python3", source_path("examples/c/generate.py"), HEED_BINARY_DIR "/libheed_c.so",
                  "run", "the "}),
            continued("the "));
}

}  // namespace
}  // namespace heed::tools
