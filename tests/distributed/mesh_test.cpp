#include "distributed/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/raises.h"

namespace heed {
namespace {

TEST(MeshShape, TheDataAxisTakesWhatIsLeft) {
  EXPECT_EQ(fit_mesh({.data = 0}, 6).data, 6);
  EXPECT_EQ(fit_mesh({.data = 0, .sequence = 2, .tensor = 3}, 12).data, 2);
  EXPECT_EQ(fit_mesh({.data = 1}, 1).ranks(), 1);
  EXPECT_EQ(fit_mesh({.data = 2, .tensor = 2}, 4).to_string(), "data 2 x tensor 2");
  EXPECT_EQ(fit_mesh({.data = 0}, 1).to_string(), "1 rank");
}

TEST(MeshShape, OtherNumbersOfRanksAreRefused) {
  EXPECT_THAT(
      request_error([] { fit_mesh({.data = 2, .tensor = 2}, 3); }),
      testing::HasSubstr("data 2 x tensor 2 wants 4 ranks, but there are 3 (mpirun -np N)"));
  EXPECT_THAT(request_error([] { fit_mesh({.data = 0, .tensor = 2}, 3); }),
              testing::HasSubstr("wants a multiple of 2 ranks, but there are 3"));
}

}  // namespace
}  // namespace heed
