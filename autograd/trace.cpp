#include "autograd/trace.h"

#include "kernels/attention/pattern.h"

namespace heed::trace {

namespace detail {
constinit thread_local Listener* listener = nullptr;
constinit thread_local AsOne* region = nullptr;
}  // namespace detail

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

AsOne::AsOne()
    : listener_(std::exchange(detail::listener, nullptr)),
      around_(std::exchange(detail::region, this)) {}

AsOne::~AsOne() {
  if (!ended_) end();
}

void AsOne::end() {
  ended_ = true;
  detail::region = around_;
  if (listener_ != nullptr) detail::listener = std::exchange(listener_, nullptr);
}

void AsOne::report(const char* name, std::vector<Tensor> inputs, std::vector<Tensor> outputs,
                   Attributes attributes) {
  HEED_CHECK(!ended_, "trace: '{}' is the second report of one region", name);
  HEED_CHECK(detail::region == this, "trace: '{}' is reported while a region within it is open",
             name);
  const bool heard = on();
  end();
  if (heard) {
    trace::report(name, std::move(inputs), std::move(outputs), std::move(attributes));
  }
}

}  // namespace heed::trace
