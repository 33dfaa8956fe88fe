// The mesh of ranks: axes data x pipeline x sequence x tensor, the tensor axis innermost, so that
// the ranks that talk most are neighbours on one machine.
//   rank = ((data * pipelines + pipeline) * sequences + sequence) * tensors + tensor
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "distributed/communicator.h"

namespace heed {

/// Ranks along each axis.
struct MeshShape {
  int64_t data = 1;  ///< 0: as many as the other axes leave
  int64_t pipeline = 1;
  int64_t sequence = 1;
  int64_t tensor = 1;

  int64_t ranks() const { return data * pipeline * sequence * tensor; }
  /// "data 2 x tensor 2", without axes of 1; "1 rank" when all are.
  std::string to_string() const;
};

/// The shape with its data axis filled in. A RequestError where the axes do not multiply to
/// `ranks`, which `said_by` can change.
MeshShape fit_mesh(MeshShape shape, int64_t ranks, const std::string& said_by = "mpirun -np");

/// Some of the axes.
struct MeshAxes {
  bool data = false, pipeline = false, sequence = false, tensor = false;
};

/// This rank's place, and those it shares an axis with.
class Mesh {
 public:
  /// Every rank of `world` (which must outlive this) calls it with the same fitting shape.
  Mesh(Communicator& world, const MeshShape& shape);

  const MeshShape& shape() const { return shape_; }
  /// Position of this rank along each axis.
  const MeshShape& place() const { return place_; }

  Communicator& world() { return world_; }
  /// The ranks that differ from this one along one axis alone, in order of that axis.
  Communicator& data() { return *data_; }
  Communicator& pipeline() { return *pipeline_; }
  Communicator& sequence() { return *sequence_; }
  Communicator& tensor() { return *tensor_; }
  /// The ranks that differ from this one along the data axis and those named: what shares a
  /// parameter's gradient.
  Communicator& data_and(MeshAxes axes);

 private:
  Communicator& world_;
  MeshShape shape_, place_;
  std::unique_ptr<Communicator> data_, pipeline_, sequence_, tensor_;
  std::map<int64_t, std::unique_ptr<Communicator>> data_and_;  // by the number of the axes
};

}  // namespace heed
