// parse_state on any bytes; a state that is accepted comes back from its own bytes.
#include <string>

#include "recipes/engine/train_state.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  return heed::read_or_refuse([&] {
    const heed::recipes::TrainState state = heed::recipes::parse_state(bytes, "input");
    heed::promise(state.step >= 0 && state.items >= 0 && state.mesh.ranks() >= 1,
                  "counts are counts");
    heed::never_refused([&] {
      const std::string written = heed::recipes::serialize_state(state);
      const heed::recipes::TrainState again = heed::recipes::parse_state(written, "again");
      heed::promise(heed::recipes::serialize_state(again) == written, "the state comes back equal");
      heed::promise(again.data == state.data && again.step == state.step, "and so do its parts");
    });
  });
}
