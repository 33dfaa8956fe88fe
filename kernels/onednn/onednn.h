// What every use of oneDNN shares: the engine, a stream and scratch buffer a thread, and primitives
// that are planned for one thread. Parallelism is ours, over tiles or images, so that results do
// not depend on the thread count.
#pragma once

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "core/tensor.h"

namespace heed::kernels::onednn {

/// f32 or bf16.
dnnl::memory::data_type data_type(DType dtype);

/// The engine of the host's processor.
dnnl::engine& engine();

/// While it lives, primitives made by this thread are planned for one thread.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int previous_;
};

/// Attributes of every primitive: the scratch memory is the caller's.
dnnl::primitive_attr attributes();

/// A primitive with its argument handles; belongs to the thread that made it.
class Call {
 public:
  Call() = default;
  Call(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad,
       std::initializer_list<std::pair<int, dnnl::memory::desc>> arguments);

  Call& set(int argument, const void* data) {
    arguments_.at(argument).set_data_handle(const_cast<void*>(data));
    return *this;
  }
  void run();

 private:
  dnnl::primitive primitive_;
  std::unordered_map<int, dnnl::memory> arguments_;
  size_t scratch_bytes_ = 0;
};

/// The value of `key` in a per-thread cache, made by `make` the first time. Keys that change all
/// the time must not fill the memory with generated code, so the cache starts afresh when it is
/// full.
template <class Key, class Value, class Hash, class Make>
Value& cached(std::unordered_map<Key, std::unique_ptr<Value>, Hash>& cache, const Key& key,
              Make&& make) {
  constexpr size_t kMost = 1024;
  auto found = cache.find(key);
  if (found == cache.end()) {
    const OneThread one_thread;
    auto fresh = std::make_unique<Value>(make());
    if (cache.size() >= kMost) cache.clear();
    found = cache.emplace(key, std::move(fresh)).first;
  }
  return *found->second;
}

}  // namespace heed::kernels::onednn
