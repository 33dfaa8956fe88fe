// A PEFT adapter's folder as low-rank updates of heed's model.
//
// Where heed has one matrix for several of theirs (queries, keys and values; gate and up), so it
// has one update for several of theirs, which reads the same input x:
//   all parts with one lora_A      down = lora_A,                   up = [B_q; B_k; B_v]
//   each with its own              down = [A_q; A_k; A_v],          up = diag(B_q, B_k, B_v)
//                                  of the sum of the ranks; zeros for a part without an update
// The second is as exact: x's update of each part is still B A x.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/safetensors.h"
#include "nn/module.h"
#include "recipes/engine/checkpoint.h"
#include "recipes/engine/hf/described.h"

namespace heed::recipes::hf {

struct Adapter {
  struct Update {
    Tensor down, up;  ///< [rank, in], [out, rank]
    double alpha = 0.0;

    double scale() const { return alpha / static_cast<double>(down.size(0)); }
  };
  std::map<std::string, Update> updates;  ///< by the path of heed's linear layer
  std::map<std::string, Tensor> saved;    ///< trained whole: heed's tensors by name
  std::map<std::string, Tensor> base;     ///< the base's own, which PEFT saved beside an update
  double dropout = 0.0;
  SafetensorsFile file;  ///< that the tensors lie in
};

/// Reads adapter_config.json and adapter_model.safetensors of `folder` for a module that is
/// described so. A RequestError names what heed does not do (see read_peft_config) and every tensor
/// that is no update of one of the module's linear layers. Any floating dtype is read, and stays
/// where one update is one tensor of theirs; where several become one, that has the widest of their
/// dtypes, and f32 at least where they differ or are scaled.
Adapter read_adapter(const std::string& folder, const Described& described, nn::Module& module);

/// Puts an adapter onto tensors that import_tensors() made: its updates beside them, or, `merged`,
/// W + scale up down in W's place, computed in f32 (f64 where one of them is) and rounded once to
/// W's dtype.
void put_on(const Adapter& adapter, bool merged, std::vector<PendingTensor>& tensors);

}  // namespace heed::recipes::hf
