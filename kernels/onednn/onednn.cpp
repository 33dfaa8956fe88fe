#include "kernels/onednn/onednn.h"

#include <omp.h>

namespace heed::kernels::onednn {
namespace {

struct PerThread {
  dnnl::stream stream{engine()};
  std::shared_ptr<Storage> scratch;
};

PerThread& per_thread() {
  static thread_local PerThread thread;
  return thread;
}

}  // namespace

dnnl::memory::data_type data_type(DType dtype) {
  HEED_CHECK(dtype == DType::f32 || dtype == DType::bf16, "oneDNN: no kernels for {}",
             name_of(dtype));
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// Never destroyed: primitives cached by threads may outlive main.
dnnl::engine& engine() {
  static auto* cpu = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *cpu;
}

OneThread::OneThread() : previous_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(previous_); }

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

Call::Call(dnnl::primitive primitive, const dnnl::memory::desc& scratchpad,
           std::initializer_list<std::pair<int, dnnl::memory::desc>> arguments)
    : primitive_(std::move(primitive)), scratch_bytes_(scratchpad.get_size()) {
  for (const auto& [argument, desc] : arguments) {
    arguments_.emplace(argument, dnnl::memory(desc, engine(), nullptr));
  }
  arguments_.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(scratchpad, engine(), nullptr));
}

void Call::run() {
  PerThread& thread = per_thread();
  if (scratch_bytes_ > 0) {
    if (thread.scratch == nullptr || thread.scratch->bytes < scratch_bytes_) {
      thread.scratch = std::make_shared<Storage>(scratch_bytes_, kCpu);
    }
    set(DNNL_ARG_SCRATCHPAD, thread.scratch->data);
  }
  primitive_.execute(thread.stream, arguments_);
}

}  // namespace heed::kernels::onednn
