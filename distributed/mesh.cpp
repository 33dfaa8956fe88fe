#include "distributed/mesh.h"

#include <vector>

namespace heed {

std::string MeshShape::to_string() const {
  std::vector<std::string> axes;
  const auto add = [&axes](const char* name, int64_t n) {
    if (n > 1) axes.push_back(fmt::format("{} {}", name, n));
  };
  add("data", data);
  add("pipeline", pipeline);
  add("sequence", sequence);
  add("tensor", tensor);
  return axes.empty() ? "1 rank" : fmt::format("{}", fmt::join(axes, " x "));
}

MeshShape fit_mesh(MeshShape shape, int64_t ranks, const std::string& said_by) {
  const int64_t others = shape.pipeline * shape.sequence * shape.tensor;
  if (shape.data == 0 && ranks % others == 0) shape.data = ranks / others;
  if (shape.ranks() != ranks) {
    const std::string wanted = shape.data == 0 ? fmt::format("a multiple of {}", others)
                                               : fmt::format("{}", shape.ranks());
    fail_request("parallel: {} wants {} ranks, but there {} {} ({} N)", shape.to_string(), wanted,
                 ranks == 1 ? "is" : "are", ranks, said_by);
  }
  return shape;
}

namespace {

// Names the axes that have several ranks.
int64_t number_of(const MeshAxes& axes, const MeshShape& shape) {
  return (axes.pipeline && shape.pipeline > 1 ? 4 : 0) +
         (axes.sequence && shape.sequence > 1 ? 2 : 0) + (axes.tensor && shape.tensor > 1 ? 1 : 0);
}

}  // namespace

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

  // The color names the positions on all other axes; the key orders the ranks as in the world.
  const auto along = [&](const MeshAxes& axes) {
    MeshShape others = place_;
    if (axes.data) others.data = 0;
    if (axes.pipeline) others.pipeline = 0;
    if (axes.sequence) others.sequence = 0;
    if (axes.tensor) others.tensor = 0;
    const int64_t color =
        ((others.data * shape.pipeline + others.pipeline) * shape.sequence + others.sequence) *
            shape.tensor +
        others.tensor;
    return world.split(static_cast<int>(color), world.rank());
  };
  data_ = along({.data = true});
  pipeline_ = along({.pipeline = true});
  sequence_ = along({.sequence = true});
  tensor_ = along({.tensor = true});
  for (int64_t bits = 1; bits < 8; ++bits) {
    const MeshAxes axes{true, (bits & 4) != 0, (bits & 2) != 0, (bits & 1) != 0};
    if (number_of(axes, shape) == bits) data_and_[bits] = along(axes);
  }
}

Communicator& Mesh::data_and(MeshAxes axes) {
  const int64_t number = number_of(axes, shape_);
  return number == 0 ? *data_ : *data_and_.at(number);
}

}  // namespace heed
