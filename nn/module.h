// Module: parameters, buffers and sub-modules as plain members, registered once in the constructor
// under the member's own name. Names of a state_dict follow: "blocks.3.attn.q.weight".
//
//   struct Mlp : Module {
//     Mlp(int64_t dim, int64_t hidden) : fc1(dim, hidden), fc2(hidden, dim) {
//       children({{"fc1", fc1}, {"fc2", fc2}});
//     }
//     Tensor forward(const Tensor& x) { return fc2(gelu(fc1(x))); }
//     Linear fc1, fc2;
//   };
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.h"
#include "core/random.h"
#include "nn/shard.h"

namespace heed::nn {

/// How a parameter starts: fills the tensor from the key (seed and parameter name).
using Init = std::function<void(Tensor& parameter, const RandomKey& key)>;

class TokenSplit;

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // registration holds the members' addresses
  Module& operator=(const Module&) = delete;

  struct NamedTensor {
    std::string name;
    Tensor* tensor;
    bool trained;  // false for a buffer
    const Init* init;
    bool frozen = false;  // a parameter that keeps its value
    /// Which part of the whole tensor it is, where ranks share it; null: the whole.
    const Shard* shard = nullptr;
  };

  /// Parameters (and, by default, buffers) of this module and all below, depth first in order of
  /// registration. A tensor registered under two names (tied weights) appears once, under the
  /// first.
  std::vector<NamedTensor> named_tensors(bool buffers = true);
  /// The trained tensors alone, without frozen ones.
  std::vector<NamedTensor> named_parameters();
  /// This module ("") and all below with their paths.
  std::vector<std::pair<std::string, Module*>> named_modules();

  /// Number of elements in the parameters, frozen ones included; tied ones count once.
  int64_t parameter_count();

  /// Forgets the parameters and buffers of this module and all below, which another rank holds.
  void let_go();

  /// Stops (or resumes) the training of every parameter of this module and all below: no gradient
  /// is computed for them, but gradients still flow through to the inputs.
  void freeze(bool on = true);

  /// Gives every module its path and every parameter its initial value, a function of the seed and
  /// the parameter's name: the key is {seed, hash_name("init/" + name)}. Called once by whoever
  /// builds the root.
  void initialise(uint64_t seed);
  /// Only the paths, which key the random draws: for a root whose values come from a file.
  void assign_paths();

  /// Dtype of the activations that begin in this module and all below (embeddings); everything else
  /// follows its inputs. f32 unless set.
  void compute_in(DType dtype);
  DType compute_dtype() const { return compute_dtype_; }

  /// Changes the dtype of every parameter and floating buffer (f32 or f64) and computes in it; tied
  /// tensors stay tied. Gradients are dropped. For checks in f64.
  void convert(DType dtype);

  /// Moves every parameter and buffer of this module and all below to a device; whoever holds them
  /// (an optimiser, a tied tensor) sees them there. Gradients are dropped.
  void to(Device device);

  /// Shares the tokens of every sequence with other ranks, in this module and all below.
  void split_tokens(std::shared_ptr<const TokenSplit> split);
  /// Null: sequences are whole.
  const TokenSplit* token_split() const { return token_split_.get(); }

  /// Training mode of this module and all below (dropout, batch statistics).
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_; }

  /// Path below the root, set by initialise(); its hash is the purpose of this module's random
  /// draws.
  const std::string& path() const { return path_; }
  uint64_t purpose() const { return purpose_; }

 protected:
  struct ParameterEntry {
    const char* name;
    Tensor& tensor;
    Init init;
  };
  struct ChildEntry {
    std::string name;
    Module& module;
  };

  /// Registers trained tensors and marks them as wanting gradients.
  void parameters(std::initializer_list<ParameterEntry> entries);
  /// Registers tensors that are saved but not trained.
  void buffers(std::initializer_list<std::pair<const char*, Tensor&>> entries);
  /// Keeps this rank's part of a registered tensor (a member of this module) in its place.
  void keep_shard(Tensor& member, const Shard& shard);
  void children(std::initializer_list<ChildEntry> entries);
  void child(const std::string& name, Module& module);

 private:
  struct Own {
    std::string name;
    Tensor* tensor;
    bool trained;
    Init init;
    bool frozen = false;
    std::shared_ptr<const Shard> shard = nullptr;
  };

  void visit(const std::string& prefix,
             const std::function<void(const std::string& path, Module& module)>& fn);

  std::vector<Own> tensors_;
  std::vector<std::pair<std::string, Module*>> children_;
  bool training_ = true;
  DType compute_dtype_ = DType::f32;
  std::shared_ptr<const TokenSplit> token_split_;
  std::string path_;
  uint64_t purpose_ = 0;
};

/// A list of modules, named by index under its own name ("blocks.0", "blocks.1").
template <class T>
class ModuleList : public Module {
 public:
  template <class... Args>
  T& emplace(Args&&... args) {
    return append(std::make_unique<T>(std::forward<Args>(args)...));
  }
  T& append(std::unique_ptr<T> module) {
    child(std::to_string(modules_.size()), *module);
    modules_.push_back(std::move(module));
    return *modules_.back();
  }
  size_t size() const { return modules_.size(); }
  T& operator[](size_t i) { return *modules_[i]; }
  auto begin() const { return modules_.begin(); }
  auto end() const { return modules_.end(); }

 private:
  std::vector<std::unique_ptr<T>> modules_;
};

/// Name and tensor of everything that is trained: what an optimiser takes. Unlike state_dict's,
/// these tensors are the leaves themselves, with their gradients.
std::vector<std::pair<std::string, Tensor>> trained_tensors(Module& module);

/// Name -> tensor of every parameter and buffer; the tensors share memory with the module. Shards
/// are what they are: distributed/state.h makes whole tensors of them.
std::vector<std::pair<std::string, Tensor>> state_dict(Module& module);

/// Copies tensors (whole ones, also where the module holds a shard) into the module's parameters
/// and buffers by name, and gives the modules their paths. Missing and unexpected names and
/// differences of shape or kind are collected into one RequestError that lists them all; nothing is
/// changed then. Floating dtypes convert; returns one note for each tensor that lost digits by it
/// ("embed.weight: f64 rounded to f32").
std::vector<std::string> load_state_dict(Module& module,
                                         const std::vector<std::pair<std::string, Tensor>>& state);

}  // namespace heed::nn
