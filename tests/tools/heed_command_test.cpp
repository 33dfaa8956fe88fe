#include "heed_command.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace heed::tools {

namespace fs = std::filesystem;

namespace {

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr char kTinyText[] =
    "the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs.\n"
    "how vexingly quick daft zebras jump! sphinx of black quartz, judge my vow. 0123456789\n";

constexpr char kTinyRecipe[] = R"(data:
  type: text
  files: [text.txt]
  validation: 0.2
  tokenizer: {type: bytes}
model:
  type: gpt
  layers: 1
  dim: 16
  heads: 2
  context: 16
train:
  steps: 20
  batch_size: 2
  log_every: 1
  eval_every: 10
  checkpoint_every: 5
optimizer: {type: adamw, lr: 1e-2}
)";

}  // namespace

CommandTest::CommandTest() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string name = std::string(test->test_suite_name()) + "-" + test->name();
  folder_ =
      (fs::temp_directory_path() / ("heed-" + name + "-" + std::to_string(getpid()))).string();
  fs::create_directories(folder_);
}

CommandTest::~CommandTest() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

pid_t CommandTest::spawn(const std::vector<std::string>& command) const {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  const int out = open(path(".out").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  const int err = open(path(".err").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644);
  const int in = open("/dev/null", O_RDONLY);
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 || chdir(folder_.c_str()) != 0) {
    _exit(126);
  }
  execvp(arguments[0], arguments.data());
  _exit(127);
}

Outcome CommandTest::wait_for(pid_t process) const {
  int status = 0;
  EXPECT_EQ(waitpid(process, &status, 0), process);
  Outcome outcome;
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  outcome.out = slurp(path(".out"));
  outcome.err = slurp(path(".err"));
  return outcome;
}

pid_t CommandTest::start(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {std::string(HEED_BINARY_DIR) + "/heed"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return spawn(command);
}

Outcome CommandTest::heed(const std::vector<std::string>& arguments) const {
  return wait_for(start(arguments));
}

Outcome CommandTest::run_program(const std::vector<std::string>& command) const {
  return wait_for(spawn(command));
}

std::string CommandTest::path(const std::string& name) const {
  return (fs::path(folder_) / name).string();
}

std::string CommandTest::write(const std::string& name, const std::string& text) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << text;
  return name;
}

std::string CommandTest::read(const std::string& name) const { return slurp(path(name)); }

bool CommandTest::exists(const std::string& name) const { return fs::exists(path(name)); }

std::vector<std::string> CommandTest::everything() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    const std::string name = entry.path().lexically_relative(folder_).string();
    if (name != ".out" && name != ".err") names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string CommandTest::write_tiny_recipe(const std::string& name,
                                           const std::string& extra) const {
  std::string text;
  for (int i = 0; i < 20; ++i) text += kTinyText;
  write("text.txt", text);
  return write(name, kTinyRecipe + extra);
}

std::string source_path(const std::string& name) {
  return std::string(HEED_SOURCE_DIR) + "/" + name;
}

nlohmann::json parse_document(const std::string& text) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    ADD_FAILURE() << "not one JSON document: " << error.what() << "\n" << text;
    return {};
  }
}

void expect_same_tensors(const std::string& a, const std::string& b) {
  const SafetensorsFile first = read_safetensors(a);
  const SafetensorsFile second = read_safetensors(b);
  ASSERT_FALSE(first.tensors.empty());
  ASSERT_EQ(first.tensors.size(), second.tensors.size());
  for (const auto& [name, tensor] : first.tensors) {
    const Tensor other = second.find(name);
    ASSERT_TRUE(other.defined()) << name;
    ASSERT_EQ(tensor.dtype(), other.dtype()) << name;
    ASSERT_EQ(tensor.shape(), other.shape()) << name;
    EXPECT_EQ(std::memcmp(tensor.raw(), other.raw(), static_cast<size_t>(tensor.bytes())), 0)
        << name << " differs";
  }
}

namespace {

TEST_F(CommandTest, RunsInAFolderOfItsOwn) {
  EXPECT_TRUE(everything().empty());
  EXPECT_EQ(run_program({"pwd"}).out, std::filesystem::canonical(path()).string() + "\n");
  EXPECT_EQ(run_program({"false"}).status, 1);
}

}  // namespace
}  // namespace heed::tools
