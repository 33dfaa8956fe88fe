#include "distributed/communicator.h"

#include <algorithm>
#include <exception>

namespace heed {

Work& Work::operator=(Work&& other) {
  if (this == &other) return *this;
  wait();
  states_ = std::exchange(other.states_, {});
  return *this;
}

Work::~Work() {
  try {
    wait();
  } catch (const std::exception&) {
    // Whoever drops an operation does not ask how it ended.
  }
}

bool Work::done() {
  // One by one: a test may throw, and what is not done must still be held then.
  for (auto state = states_.begin(); state != states_.end();) {
    state = (*state)->test() ? states_.erase(state) : std::next(state);
  }
  return states_.empty();
}

void Work::wait() {
  std::exception_ptr first;
  for (const auto& state : std::exchange(states_, {})) {
    try {
      state->wait();
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

void Work::go_on_beside() {
  for (const auto& state : states_) state->go_on_beside();
}

void Work::join(Work other) {
  for (auto& state : std::exchange(other.states_, {})) states_.push_back(std::move(state));
}

Work Communicator::begin_ring_shift(const Tensor& tensor, const Tensor& out, int step, int tag) {
  const int n = size();
  const auto around = [n](int r) { return (r % n + n) % n; };
  Work work = begin_receive(out, around(rank() - step), tag);
  work.join(begin_send(tensor, around(rank() + step), tag));
  return work;
}

double Communicator::all_reduce_number(double value, ReduceOp op) {
  const Tensor tensor = Tensor::scalar(value);
  all_reduce(tensor, op);
  return tensor.item();
}

std::vector<std::string> Communicator::all_gather_text(const std::string& text) {
  const auto longest =
      static_cast<int64_t>(all_reduce_number(static_cast<double>(text.size()), ReduceOp::max));
  const int64_t width = longest + static_cast<int64_t>(sizeof(int64_t));
  const Tensor own = Tensor::zeros({width}, DType::u8);
  const auto length = static_cast<int64_t>(text.size());
  std::copy_n(reinterpret_cast<const uint8_t*>(&length), sizeof length, own.data<uint8_t>());
  std::copy_n(text.data(), text.size(), own.data<uint8_t>() + sizeof length);
  const Tensor all = Tensor::empty({size() * width}, DType::u8);
  all_gather(own, all);
  std::vector<std::string> texts;
  for (int r = 0; r < size(); ++r) {
    const uint8_t* from = all.data<uint8_t>() + r * width;
    int64_t count = 0;
    std::copy_n(from, sizeof count, reinterpret_cast<uint8_t*>(&count));
    from += sizeof count;
    texts.emplace_back(from, from + count);
  }
  return texts;
}

}  // namespace heed
