// test_interop: what the scripts here ask of heed, as tests whose questions lie in a folder:
//
//   test_interop FOLDER --gtest_filter=ChatInterop.*
//
// It is none of ctest's: without a script there are no questions.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/interop/folder.h"

namespace heed::interop {
namespace {
std::string given;
}  // namespace

const std::string& folder() { return given; }

}  // namespace heed::interop

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: test_interop FOLDER [--gtest_filter=...]\n");
    return 2;
  }
  heed::interop::given = argv[1];
  return RUN_ALL_TESTS();
}
