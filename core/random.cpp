#include "core/random.h"

#include <numbers>

namespace heed {

RandomKey RandomKey::derive(std::string_view name) const { return derive(hash_name(name)); }

float RandomStream::normal(uint64_t index) const {
  const auto b = block(index / 4);
  const size_t pair = index % 4 / 2 * 2;
  const float u = (static_cast<float>(b[pair] >> 8) + 1.0f) * 0x1p-24f;  // (0, 1]
  const float angle = 2.0f * std::numbers::pi_v<float> * to_uniform(b[pair + 1]);
  const float radius = std::sqrt(-2.0f * std::log(u));
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

uint64_t RandomStream::below(uint64_t index, uint64_t n) const {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(word64(index)) * n) >> 64);
}

RandomContext& random_context() {
  static RandomContext context;
  return context;
}

RandomKey current_key(uint64_t purpose) {
  const RandomContext& context = random_context();
  return {context.seed, purpose, context.step};
}

uint64_t first_draw(int64_t n) { return random_context().part * static_cast<uint64_t>(n); }

}  // namespace heed
