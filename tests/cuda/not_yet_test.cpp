#include "tests/cuda/not_yet.h"

#include <gtest/gtest.h>

namespace heed::testing {
namespace {

// Runs last (an environment of the whole program), when every op has had its chance.
class ListIsTrue : public ::testing::Environment {
 public:
  void TearDown() override {
    if (::testing::UnitTest::GetInstance()->test_to_run_count() !=
        ::testing::UnitTest::GetInstance()->total_test_count()) {
      return;
    }
    for (const std::string& op : not_yet()) {
      EXPECT_TRUE(seen_not_yet().contains(op)) << op << " is there: take it off not_yet.cpp";
    }
  }
};

const auto* const kListIsTrue = ::testing::AddGlobalTestEnvironment(new ListIsTrue);

}  // namespace
}  // namespace heed::testing
