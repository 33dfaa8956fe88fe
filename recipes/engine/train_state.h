// The state of a run between two steps, and its protobuf form (state.proto).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "distributed/mesh.h"

namespace heed::recipes {

/// What a run needs, beside tensors, to go on as if it had never stopped.
struct TrainState {
  int64_t step = 0;  ///< optimiser steps done
  uint64_t seed = 0;
  int64_t items = 0;  ///< consumed since the start
  Config data;        ///< Task::data_position()
  bool has_best = false;
  double best_value = 0.0;
  int64_t best_step = 0;
  std::vector<std::pair<std::string, double>> best_metrics;
  std::vector<std::pair<std::string, double>> last_metrics;  ///< of the latest evaluation
  std::vector<std::pair<std::string, double>> baselines;
  double seconds = 0.0;  ///< of training so far
  MeshShape mesh;        ///< that wrote it; goes on under any other
};

std::string serialize_state(const TrainState& state);
/// `path` stands for the file in errors: a RequestError when the bytes are no state.
TrainState parse_state(const std::string& bytes, const std::string& path);

}  // namespace heed::recipes
