// Runs build/heed as a user does, in a folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/safetensors.h"

namespace heed::tools {

struct Outcome {
  int status = -1;  ///< exit status; 128 + n after signal n
  std::string out;  ///< standard output
  std::string err;
};

/// A test with a working folder; commands run in it.
class CommandTest : public ::testing::Test {
 protected:
  CommandTest();
  ~CommandTest() override;

  /// Runs `heed` with the arguments and waits.
  Outcome heed(const std::vector<std::string>& arguments) const;
  /// Runs any program, found on PATH.
  Outcome run_program(const std::vector<std::string>& command) const;
  /// Starts `heed` and returns its process id; see wait_for().
  pid_t start(const std::vector<std::string>& arguments) const;
  Outcome wait_for(pid_t process) const;

  std::string path(const std::string& name = "") const;
  std::string write(const std::string& name, const std::string& text) const;
  std::string read(const std::string& name) const;
  bool exists(const std::string& name) const;
  /// Every file and folder below the working folder, but for the captured output.
  std::vector<std::string> everything() const;

  /// A recipe that trains in well under a second, with `extra` YAML at its end, and its text.
  std::string write_tiny_recipe(const std::string& name, const std::string& extra = "") const;

 private:
  pid_t spawn(const std::vector<std::string>& command) const;

  std::string folder_;
};

/// Path of a file of the source tree.
std::string source_path(const std::string& name);

/// The one JSON document that the text must be.
nlohmann::json parse_document(const std::string& text);

/// Names, dtypes, shapes and bytes of both files are the same.
void expect_same_tensors(const std::string& a, const std::string& b);

}  // namespace heed::tools
