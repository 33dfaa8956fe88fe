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

void check_text(const std::string& text) {
  HEED_CHECK(find_invalid_utf8(text) == std::string::npos,
             "safetensors: a name or metadata text that is not UTF-8: '{}'", to_valid_utf8(text));
}

// {"__metadata__": ..., "name": {...}, ...}, padded so that the data start at a multiple of 8.
std::string make_header(const std::vector<PendingTensor>& tensors,
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
  for (const PendingTensor& tensor : tensors) {
    check_text(tensor.name);
    HEED_CHECK(names.insert(tensor.name).second, "safetensors: two tensors '{}'", tensor.name);
    Config entry = Config::map();
    entry.add("dtype", name_of_dtype(tensor.dtype));
    entry.add("shape", Config::List(tensor.shape.begin(), tensor.shape.end()));
    entry.add("data_offsets", Config::List{offset, offset + tensor.bytes()});
    header.add(tensor.name, std::move(entry));
    offset += tensor.bytes();
  }
  std::string text = header.to_json();
  text.append((8 - text.size() % 8) % 8, ' ');
  HEED_CHECK(text.size() <= kMaxHeader, "safetensors: a header of {} bytes, the format allows {}",
             text.size(), kMaxHeader);
  return text;
}

}  // namespace

PendingTensor pending(const std::string& name, const Tensor& tensor) {
  HEED_CHECK(tensor.defined(), "safetensors: tensor '{}' is undefined", name);
  return {name, tensor.dtype(), tensor.shape(), [tensor] { return tensor; }};
}

void write_safetensors(const std::string& path,
                       const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::vector<PendingTensor> all;
  for (const auto& [name, tensor] : tensors) all.push_back(pending(name, tensor));
  write_pending_safetensors(path, std::move(all), metadata);
}

void write_pending_safetensors(const std::string& path, std::vector<PendingTensor> tensors,
                               const std::vector<std::pair<std::string, std::string>>& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const PendingTensor& a, const PendingTensor& b) {
                     const size_t x = size_of(a.dtype), y = size_of(b.dtype);
                     return x != y ? x > y : a.name < b.name;
                   });
  const std::string header = make_header(tensors, metadata);
  const uint64_t length = header.size();
  AtomicFile file(path);
  file.write(&length, kPrefix);
  file.write(header);
  for (PendingTensor& pending : tensors) {
    {
      const Tensor tensor = pending.make();
      HEED_CHECK(tensor.dtype() == pending.dtype && tensor.shape() == pending.shape,
                 "safetensors: tensor '{}' became {}, not {}{}", pending.name, tensor,
                 name_of(pending.dtype), pending.shape);
      with_row_major_bytes(tensor,
                           [&](const void* data, size_t bytes) { file.write(data, bytes); });
    }
    if (pending.written) pending.written();
    pending.make = {};
  }
  file.commit();
}

}  // namespace heed
