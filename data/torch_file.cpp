#include "data/torch_file.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "core/error.h"
#include "core/files.h"
#include "core/views.h"
#include "data/pickle.h"
#include "data/zip.h"

namespace heed::data {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostRank = 8;

std::optional<DType> dtype_of(const std::string& storage) {
  static const std::map<std::string, DType> dtypes = {
      {"torch.FloatStorage", DType::f32}, {"torch.DoubleStorage", DType::f64},
      {"torch.HalfStorage", DType::f16},  {"torch.BFloat16Storage", DType::bf16},
      {"torch.LongStorage", DType::i64},  {"torch.IntStorage", DType::i32},
      {"torch.ByteStorage", DType::u8},   {"torch.BoolStorage", DType::boolean}};
  const auto found = dtypes.find(storage);
  if (found == dtypes.end()) return std::nullopt;
  return found->second;
}

struct Archive {
  Archive(std::span<const std::byte> all, const std::string& name, std::shared_ptr<const void> kept)
      : bytes(all), path(name), owner(std::move(kept)) {
    for (const ZipMember& member : index_zip(bytes, path)) {
      if (member.name.ends_with("/data.pkl")) {
        prefix = member.name.substr(0, member.name.size() - std::strlen("data.pkl"));
      }
      members.emplace(member.name, member);
    }
    if (prefix.empty()) reject("a zip archive, but not of torch.save: it has no data.pkl");
    const auto order = members.find(prefix + "byteorder");
    if (order == members.end()) return;
    const std::vector<std::byte> word = read(order->second);
    if (std::string(reinterpret_cast<const char*>(word.data()), word.size()) != "little") {
      reject("it is not little-endian");
    }
  }

  [[noreturn]] void reject(const std::string& message) const {
    fail_request(SourceLocation{path}, message);
  }
  std::vector<std::byte> read(const ZipMember& member) const {
    return read_zip_member(bytes, member, path);
  }

  std::span<const std::byte> bytes;
  std::string path;
  std::shared_ptr<const void> owner;
  std::string prefix;
  std::map<std::string, ZipMember> members;
};

std::vector<int64_t> integers(const PickleValue& value) {
  std::vector<int64_t> all;
  if (value.kind != Kind::list) return all;
  for (const PickleValue* item : value.items) {
    all.push_back(item->kind == Kind::integer ? item->integer : -1);
  }
  return all;
}

bool is_call_of(const PickleValue& value, const std::string& name) {
  return value.kind == Kind::call && value.items[0]->kind == Kind::global &&
         value.items[0]->text == name && value.items[1]->kind == Kind::list;
}

// The call that makes a tensor; nullptr of anything else.
const PickleValue* tensor_call(const PickleValue& value) {
  if (is_call_of(value, "torch._utils._rebuild_tensor_v2")) return value.items[1];
  if (is_call_of(value, "torch._utils._rebuild_parameter") && !value.items[1]->items.empty()) {
    const PickleValue& data = *value.items[1]->items[0];
    if (is_call_of(data, "torch._utils._rebuild_tensor_v2")) return data.items[1];
  }
  return nullptr;
}

bool has_tensors(const PickleValue& map) {
  if (map.kind != Kind::map) return false;
  for (size_t i = 1; i < map.items.size(); i += 2) {
    if (tensor_call(*map.items[i]) != nullptr) return true;
  }
  return false;
}

class StateDict {
 public:
  explicit StateDict(std::shared_ptr<const Archive> archive) : archive_(std::move(archive)) {}

  std::vector<TorchTensor> read() {
    const auto member = archive_->members.find(archive_->prefix + "data.pkl");
    if (member->second.size > kMostTorchPickle) {
      archive_->reject(fmt::format("its pickle '{}' has {} bytes; the largest that is read has {}",
                                   member->first, member->second.size, kMostTorchPickle));
    }
    const std::vector<std::byte> bytes = archive_->read(member->second);
    const Pickle pickle(bytes, archive_->path);
    const PickleValue& map = dict_in(pickle.root());
    std::map<std::string, TorchTensor> tensors;
    for (size_t i = 0; i + 1 < map.items.size(); i += 2) {
      const PickleValue* call = tensor_call(*map.items[i + 1]);
      if (call == nullptr || map.items[i]->kind != Kind::string) continue;
      check_name(map.items[i]->text, "a tensor");
      TorchTensor tensor = make(map.items[i]->text, *call);
      tensors[tensor.name] = std::move(tensor);
    }
    return without_prefix(std::move(tensors));
  }

 private:
  const PickleValue& dict_in(const PickleValue& root) const {
    if (has_tensors(root)) return root;
    for (const char* key : {"state_dict", "model"}) {
      const PickleValue* value = root.find(key);
      if (value != nullptr && has_tensors(*value)) return *value;
    }
    constexpr size_t kMostKeys = 20, kMostKey = 100;
    std::vector<std::string> keys;
    for (size_t i = 0; root.kind == Kind::map && i < root.items.size(); i += 2) {
      if (root.items[i]->kind != Kind::string) continue;
      if (keys.size() == kMostKeys) {
        keys.emplace_back("...");
        break;
      }
      keys.push_back(root.items[i]->text.substr(0, kMostKey));
    }
    archive_->reject(
        fmt::format("holds no state_dict, by itself or under 'state_dict' or 'model'; it has: {}",
                    fmt::join(keys, ", ")));
  }

  void check_name(const std::string& name, const char* of) const {
    if (name.size() <= kMostTensorName) return;
    archive_->reject(
        fmt::format("{}'s name, '{}...', has {} bytes; the longest that is read has {}", of,
                    name.substr(0, 40), name.size(), kMostTensorName));
  }

  TorchTensor make(const std::string& name, const PickleValue& arguments) {
    const auto broken = [&](const char* what) {
      archive_->reject(fmt::format("'{}': {}", name, what));
    };
    const auto& items = arguments.items;
    if (items.size() < 4 || items[0]->kind != Kind::outside || !items[0]->items[0]->is_list(5)) {
      broken("is not made of a storage");
    }
    const auto& id = items[0]->items[0]->items;  // ('storage', class, key, device, elements)
    if (id[1]->kind != Kind::global || id[2]->kind != Kind::string) broken("has no storage");
    check_name(id[2]->text, "a storage");
    const std::optional<DType> dtype = dtype_of(id[1]->text);
    if (!dtype) archive_->reject(fmt::format("'{}': {} is not read", name, id[1]->text));
    const auto member = archive_->members.find(archive_->prefix + "data/" + id[2]->text);
    if (member == archive_->members.end()) broken("its storage is not in the file");

    const std::vector<int64_t> size = integers(*items[2]), stride = integers(*items[3]);
    const int64_t offset = items[1]->kind == Kind::integer ? items[1]->integer : -1;
    const int64_t there = member->second.size / static_cast<int64_t>(size_of(*dtype));
    if (size.size() != stride.size() || size.size() > kMostRank || offset < 0 || offset > there) {
      broken("has no proper shape");
    }
    int64_t last = offset, elements = 1;
    for (size_t i = 0; i < size.size(); ++i) {
      // Bounds before products: neither may be larger than what the file holds.
      if (size[i] < 0 || size[i] > there || stride[i] < 0 || stride[i] > there) {
        broken("does not lie in its storage");
      }
      if (size[i] > 0 && (size[i] - 1) * static_cast<__int128>(stride[i]) > there - last) {
        broken("does not lie in its storage");
      }
      if (size[i] > 0) last += (size[i] - 1) * stride[i];
      if (elements > 0 && size[i] > there / elements) broken("is larger than its storage");
      elements *= size[i];
    }
    if (elements > 0 && last >= there) broken("does not lie in its storage");

    TorchTensor tensor{name, *dtype, Shape(size)};
    tensor.read = [archive = archive_, at = member->second, dtype = *dtype, offset, there,
                   shape = tensor.shape, strides = Shape(stride)] {
      const std::vector<std::byte> bytes = archive->read(at);
      const Tensor storage = Tensor::empty({there}, dtype);
      std::memcpy(storage.raw(), bytes.data(), static_cast<size_t>(storage.bytes()));
      if (shape.numel() == 0) return Tensor::empty(shape, dtype);
      return views::as_strided(storage, shape, strides, offset);
    };
    return tensor;
  }

  static std::vector<TorchTensor> without_prefix(std::map<std::string, TorchTensor> tensors) {
    const std::string prefix = "module.";
    const bool all = std::all_of(tensors.begin(), tensors.end(), [&](const auto& entry) {
      return entry.first.starts_with(prefix);
    });
    std::vector<TorchTensor> list;
    for (auto& [name, tensor] : tensors) {
      if (all) tensor.name = name.substr(prefix.size());
      list.push_back(std::move(tensor));
    }
    return list;
  }

  std::shared_ptr<const Archive> archive_;
};

}  // namespace

std::vector<TorchTensor> parse_torch_file(std::span<const std::byte> bytes, const std::string& name,
                                          std::shared_ptr<const void> owner) {
  const bool zip = bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\3\4", 4) == 0;
  if (!zip) {
    fail_request(
        SourceLocation{name},
        "not a file of torch.save as of PyTorch 1.6; older ones are opened and saved anew: "
        "torch.save(torch.load(path, map_location='cpu', weights_only=True), path)");
  }
  return StateDict(std::make_shared<Archive>(bytes, name, std::move(owner))).read();
}

std::vector<TorchTensor> read_torch_file(const std::string& path) {
  const auto file = std::make_shared<const MappedFile>(path);
  return parse_torch_file(file->bytes(), path, file);
}

}  // namespace heed::data
