#include <gtest/gtest.h>

#include "distributed/mesh.h"
#include "distributed/world.h"

namespace heed {
namespace {

TEST(Mesh, AxesConnectTheRightRanks) {
  Communicator& ranks = world();
  const int64_t n = ranks.size();
  std::vector<MeshShape> shapes = {{.data = n}, {.pipeline = n}, {.sequence = n}, {.tensor = n}};
  if (n == 4) {
    shapes.push_back({.data = 2, .tensor = 2});
    shapes.push_back({.pipeline = 2, .sequence = 2});
    shapes.push_back({.data = 2, .sequence = 2});
  }
  for (const MeshShape& shape : shapes) {
    Mesh mesh(ranks, shape);
    const MeshShape& at = mesh.place();
    EXPECT_EQ(
        ((at.data * shape.pipeline + at.pipeline) * shape.sequence + at.sequence) * shape.tensor +
            at.tensor,
        ranks.rank());
    EXPECT_EQ(mesh.data().size(), shape.data);
    EXPECT_EQ(mesh.data().rank(), at.data);
    EXPECT_EQ(mesh.pipeline().size(), shape.pipeline);
    EXPECT_EQ(mesh.pipeline().rank(), at.pipeline);
    EXPECT_EQ(mesh.sequence().size(), shape.sequence);
    EXPECT_EQ(mesh.sequence().rank(), at.sequence);
    EXPECT_EQ(mesh.tensor().size(), shape.tensor);
    EXPECT_EQ(mesh.tensor().rank(), at.tensor);
    // Who shares this rank's data axis is alike in all else.
    EXPECT_EQ(mesh.data().all_reduce_number(static_cast<double>(at.tensor), ReduceOp::max),
              at.tensor);
    EXPECT_EQ(mesh.tensor().all_reduce_number(static_cast<double>(at.data), ReduceOp::max),
              at.data);
  }
}

}  // namespace
}  // namespace heed
