#include <algorithm>
#include <set>

#include "core/config.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "core/safetensors_format.h"
#include "core/tensor_bytes.h"
#include "core/text.h"

namespace heed {
namespace {

using namespace safetensors_format;

using NamedTensor = std::pair<std::string, Tensor>;

void check_text(const std::string& text) {
  HEED_CHECK(find_invalid_utf8(text) == std::string::npos,
             "safetensors: a name or metadata text that is not UTF-8: '{}'", to_valid_utf8(text));
}

// {"__metadata__": ..., "name": {...}, ...}, padded so that the data start at a multiple of 8.
std::string make_header(const std::vector<const NamedTensor*>& tensors,
                        const std::vector<std::pair<std::string, std::string>>& metadata) {
  Config header = Config::map();
  if (!metadata.empty()) {
    std::set<std::string> keys;
    Config& all = header.set(kMetadata, Config::map());
    for (const auto& [key, text] : metadata) {
      check_text(key);
      check_text(text);
      HEED_CHECK(keys.insert(key).second, "safetensors: two metadata entries '{}'", key);
      all.add(key, text);
    }
  }
  std::set<std::string> names{kMetadata};
  int64_t offset = 0;
  for (const NamedTensor* named : tensors) {
    const auto& [name, tensor] = *named;
    check_text(name);
    HEED_CHECK(names.insert(name).second, "safetensors: two tensors '{}'", name);
    const Shape& shape = tensor.shape();
    Config entry = Config::map();
    entry.add("dtype", name_of_dtype(tensor.dtype()));
    entry.add("shape", Config::List(shape.begin(), shape.end()));
    entry.add("data_offsets", Config::List{offset, offset + tensor.bytes()});
    header.add(name, std::move(entry));
    offset += tensor.bytes();
  }
  std::string text = header.to_json();
  text.append((8 - text.size() % 8) % 8, ' ');
  HEED_CHECK(text.size() <= kMaxHeader, "safetensors: a header of {} bytes, the format allows {}",
             text.size(), kMaxHeader);
  return text;
}

}  // namespace

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : tensors) {
    HEED_CHECK(named.second.defined(), "safetensors: tensor '{}' is undefined", named.first);
    order.push_back(&named);
  }
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const size_t x = size_of(a->second.dtype()), y = size_of(b->second.dtype());
    return x != y ? x > y : a->first < b->first;
  });
  const std::string header = make_header(order, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, kPrefix);
  file.write(header);
  for (const NamedTensor* named : order) {
    with_row_major_bytes(named->second,
                         [&](const void* data, size_t bytes) { file.write(data, bytes); });
  }
  file.commit();
}

}  // namespace heed
