#include "distributed/mesh.h"

#include <vector>

namespace heed {

std::string MeshShape::to_string() const {
  std::vector<std::string> axes;
  const auto add = [&axes](const char* name, int64_t n) {
    if (n != 1) axes.push_back(fmt::format("{} {}", name, n));
  };
  add("data", data);
  add("pipeline", pipeline);
  add("sequence", sequence);
  add("tensor", tensor);
  return axes.empty() ? "1 rank" : fmt::format("{}", fmt::join(axes, " x "));
}

MeshShape fit_mesh(MeshShape shape, int64_t ranks) {
  const int64_t others = shape.pipeline * shape.sequence * shape.tensor;
  if (shape.data == 0 && ranks % others == 0) shape.data = ranks / others;
  if (shape.ranks() != ranks) {
    const std::string wanted = shape.data == 0 ? fmt::format("a multiple of {}", others)
                                               : fmt::format("{}", shape.ranks());
    fail_request("parallel: {} wants {} ranks, but {} {} started (mpirun -np N)", shape.to_string(),
                 wanted, ranks, ranks == 1 ? "was" : "were");
  }
  return shape;
}

Mesh::Mesh(Communicator& world, const MeshShape& shape) : world_(world), shape_(shape) {
  HEED_CHECK(shape.ranks() == world.size(), "mesh: {} for {} ranks", shape.to_string(),
             world.size());
  int64_t rank = world.rank();
  const auto next = [&rank](int64_t extent) {
    const int64_t position = rank % extent;
    rank /= extent;
    return position;
  };
  place_.tensor = next(shape.tensor);
  place_.sequence = next(shape.sequence);
  place_.pipeline = next(shape.pipeline);
  place_.data = next(shape.data);

  // The color names the positions on all axes but one; the key is the position on that one.
  const auto along = [&](int64_t MeshShape::*axis) {
    MeshShape others = place_;
    others.*axis = 0;
    const int64_t color =
        ((others.data * shape.pipeline + others.pipeline) * shape.sequence + others.sequence) *
            shape.tensor +
        others.tensor;
    return world.split(static_cast<int>(color), static_cast<int>(place_.*axis));
  };
  data_ = along(&MeshShape::data);
  pipeline_ = along(&MeshShape::pipeline);
  sequence_ = along(&MeshShape::sequence);
  tensor_ = along(&MeshShape::tensor);
}

}  // namespace heed
