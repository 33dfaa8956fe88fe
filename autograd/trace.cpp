#include "autograd/trace.h"

#include "kernels/attention/pattern.h"

namespace heed::trace {

namespace detail {
constinit thread_local Listener* listener = nullptr;
}

void report(std::string name, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
            Attributes attributes, std::shared_ptr<const AttentionSpec> attention) {
  HEED_CHECK(on(), "trace: '{}' is reported to no listener", name);
  detail::listener->heard({std::move(name), std::move(inputs), std::move(outputs),
                           std::move(attributes), std::move(attention)});
}

void report(LimitedPattern pattern) {
  if (on()) detail::listener->limited(std::move(pattern));
}

bool follows(const Tensor& tensor) { return on() && detail::listener->follows(tensor); }

Listening::Listening(Listener& listener) : previous_(std::exchange(detail::listener, &listener)) {}
Listening::~Listening() { detail::listener = previous_; }

AsOne::AsOne() : listener_(std::exchange(detail::listener, nullptr)) {}
AsOne::~AsOne() {
  if (listener_ != nullptr) detail::listener = listener_;
}

void AsOne::report(const char* name, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
                   Attributes attributes) {
  if (listener_ == nullptr) return;
  detail::listener = std::exchange(listener_, nullptr);
  trace::report(name, std::move(inputs), std::move(outputs), std::move(attributes));
}

}  // namespace heed::trace
