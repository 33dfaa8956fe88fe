// parse_torch_file on any bytes, as a pickle within an archive and as the archive itself: what is
// accepted lies in the file.
#include <vector>

#include "data/torch_file.h"
#include "tests/data/archives.h"
#include "tests/fuzz/harness.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string given(reinterpret_cast<const char*>(data), size);
  const bool whole = size >= 2 && given.starts_with("PK");
  const std::string file =
      whole
          ? given
          : heed::data::zip_of({{"a/data.pkl", given}, {"a/data/0", std::string(64, 'x')}}, false);
  return heed::read_or_refuse([&] {
    for (const heed::data::TorchTensor& tensor :
         heed::data::parse_torch_file(std::as_bytes(std::span(file)), "input")) {
      heed::read_or_refuse([&] {
        heed::promise(tensor.read().shape() == tensor.shape, "the shape is what it says");
      });
    }
  });
}
