#include "core/machine.h"

#include <gtest/gtest.h>

#include <fstream>

#include "temp_folder.h"

namespace heed {
namespace {

TEST(Machine, ProcFieldIsTheFirstOfItsKey) {
  const std::string path = temp_folder() + "fields";
  std::ofstream(path) << "other: 1\nmodel name\t: A  CPU\nmodel name\t: another\nempty:\n";
  EXPECT_EQ(proc_field(path.c_str(), "model name"), "A  CPU");
  EXPECT_EQ(proc_field(path.c_str(), "empty"), "");
  EXPECT_EQ(proc_field(path.c_str(), "missing"), "");
  EXPECT_EQ(proc_field("/no/such/file", "model name"), "");
}

TEST(Machine, ProcessorHasAName) { EXPECT_FALSE(processor_name().empty()); }

}  // namespace
}  // namespace heed
