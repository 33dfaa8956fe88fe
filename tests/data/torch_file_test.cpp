// Files of torch.save, put together here byte by byte. tests/interop/official_check.py reads
// PyTorch's own.
#include "data/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/views.h"
#include "data/pickle.h"
#include "tests/core/raises.h"
#include "tests/data/archives.h"

namespace heed::data {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::string byte(int64_t value) { return "K"s + static_cast<char>(value); }

std::string text(const std::string& value) {
  return "X"s + static_cast<char>(value.size()) + "\0\0\0"s + value;
}

std::string tuple(const std::vector<int64_t>& values) {
  std::string code = "(";
  for (const int64_t value : values) code += byte(value);
  return code + "t";
}

// What torch.save writes of a tensor: a call of _rebuild_tensor_v2.
std::string tensor(const std::string& storage, const std::string& key, int64_t offset,
                   const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" + storage + "\n" +
         text(key) + text("cpu") + byte(6) + "tQ" + byte(offset) + tuple(size) + tuple(stride) +
         "\x89" + "ccollections\nOrderedDict\n)RtR";
}

std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string code = "}(";
  for (const auto& [key, value] : items) code += text(key) + value;
  return code + "u";
}

std::string pickled(const std::string& code) { return "\x80\x02" + code + "."; }

const std::vector<float> kValues = {1, 2, 3, 4, 5, 6};

std::string archive(const std::string& code) {
  const std::string storage(reinterpret_cast<const char*>(kValues.data()), 6 * sizeof(float));
  return zip_of({{"archive/data.pkl", pickled(code)},
                 {"archive/byteorder", "little"},
                 {"archive/data/0", storage}},
                false);
}

std::vector<TorchTensor> parsed(const std::string& file) {
  auto kept = std::make_shared<std::string>(file);
  return parse_torch_file(std::as_bytes(std::span(*kept)), "test.pth", kept);
}

std::string refusal(const std::string& file) {
  return request_error([&] { parsed(file); });
}

std::vector<float> values(const TorchTensor& tensor) { return tensor.read().to_vector<float>(); }

const std::string kMatrix = tensor("FloatStorage", "0", 0, {2, 3}, {3, 1});

TEST(TorchFile, HasTheTensorsOfAStateDict) {
  const auto tensors = parsed(archive(dict({{"w", kMatrix}, {"steps", byte(7)}})));
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_EQ(tensors[0].dtype, DType::f32);
  EXPECT_EQ(tensors[0].shape, (Shape{2, 3}));
  EXPECT_EQ(values(tensors[0]), kValues);
}

TEST(TorchFile, TensorsAreViewsOfTheirStorage) {
  const auto tensors =
      parsed(archive(dict({{"turned", tensor("FloatStorage", "0", 0, {3, 2}, {1, 3})},
                           {"part", tensor("FloatStorage", "0", 4, {2}, {1})},
                           {"one", tensor("FloatStorage", "0", 5, {}, {})},
                           {"same", tensor("FloatStorage", "0", 1, {3}, {0})},
                           {"none", tensor("FloatStorage", "0", 6, {0}, {1})}})));
  ASSERT_EQ(tensors.size(), 5u);  // by name
  EXPECT_EQ(values(tensors[0]).size(), 0u);
  EXPECT_THAT(values(tensors[1]), ElementsAre(6));
  EXPECT_THAT(values(tensors[2]), ElementsAre(5, 6));
  EXPECT_THAT(values(tensors[3]), ElementsAre(2, 2, 2));
  EXPECT_THAT(values(tensors[4]), ElementsAre(1, 4, 2, 5, 3, 6));
}

TEST(TorchFile, FindsTheStateDictOfACheckpoint) {
  const std::string state = dict({{"module.w", kMatrix}});
  for (const char* key : {"state_dict", "model"}) {
    const auto tensors = parsed(archive(
        dict({{"epoch", byte(3)}, {"args", "cargparse\nNamespace\n)\x81}b"}, {key, state}})));
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].name, "w");
  }
  EXPECT_THAT(refusal(archive(dict({{"epoch", byte(3)}}))), HasSubstr("it has: epoch"));
}

TEST(TorchFile, ReadsParametersAsTensors) {
  const std::string parameter =
      "ctorch._utils\n_rebuild_parameter\n(" + kMatrix + "\x88" + "ccollections\nOrderedDict\n)RtR";
  EXPECT_EQ(values(parsed(archive(dict({{"w", parameter}}))).at(0)), kValues);
}

TEST(TorchFile, CallsNothing) {
  const std::string call = "cos\nsystem\n(" + text("touch mark") + "tR";
  EXPECT_EQ(parsed(archive(dict({{"w", kMatrix}, {"x", call}}))).size(), 1u);
}

TEST(TorchFile, RefusesTensorsOutsideTheirStorage) {
  const auto of = [](int64_t offset, const std::vector<int64_t>& size,
                     const std::vector<int64_t>& stride) {
    return refusal(archive(dict({{"w", tensor("FloatStorage", "0", offset, size, stride)}})));
  };
  EXPECT_THAT(of(1, {2, 3}, {3, 1}), HasSubstr("'w': does not lie in its storage"));
  EXPECT_THAT(of(0, {2, 3}, {4, 1}), HasSubstr("does not lie"));
  EXPECT_THAT(of(6, {1}, {1}), HasSubstr("does not lie"));
  EXPECT_THAT(of(7, {0}, {1}), HasSubstr("no proper shape"));
  EXPECT_THAT(of(0, {3, 3}, {0, 0}), HasSubstr("larger than its storage"));
  EXPECT_THAT(of(0, {2, 3}, {1}), HasSubstr("no proper shape"));
  EXPECT_THAT(refusal(archive(dict({{"w", tensor("FloatStorage", "1", 0, {1}, {1})}}))),
              HasSubstr("its storage is not in the file"));
  EXPECT_THAT(refusal(archive(dict({{"w", tensor("ComplexFloatStorage", "0", 0, {1}, {1})}}))),
              HasSubstr("torch.ComplexFloatStorage is not read"));
}

TEST(TorchFile, RefusesOtherFiles) {
  EXPECT_THAT(refusal("\x80\x02}."), HasSubstr("as of PyTorch 1.6"));
  EXPECT_THAT(refusal(zip_of({{"a/b", "c"}}, false)), HasSubstr("no data.pkl"));
  EXPECT_THAT(refusal(zip_of({{"a/data.pkl", pickled("}")}, {"a/byteorder", "big"}}, false)),
              HasSubstr("little-endian"));
}

TEST(TorchFile, RefusesMoreThanAnyFileNeeds) {
  const auto sized = [](size_t bytes) {  // a pickle of that many: {"w": tensor}, and a long text
    const std::string head = dict({{"w", kMatrix}}) + "X", tail = "0.";
    const size_t rest = bytes - (2 + head.size() + 4 + tail.size());
    std::string count(4, '\0');
    for (size_t i = 0; i < 4; ++i) count[i] = static_cast<char>(rest >> (8 * i) & 0xff);
    const std::string storage(reinterpret_cast<const char*>(kValues.data()), 6 * sizeof(float));
    return zip_of({{"archive/data.pkl", "\x80\x02" + head + count + std::string(rest, 'x') + tail},
                   {"archive/data/0", storage}},
                  true);
  };
  const auto most = static_cast<size_t>(kMostTorchPickle);
  EXPECT_EQ(values(parsed(sized(most)).at(0)), kValues);
  EXPECT_THAT(refusal(sized(most + 1)),
              HasSubstr("test.pth: its pickle 'archive/data.pkl' has 16777217 bytes; the largest"));
}

TEST(TorchFile, RefusesLongNames) {
  const auto long_text = [](size_t length) {
    return "X"s + static_cast<char>(length & 0xff) + static_cast<char>(length >> 8) + "\0\0"s +
           std::string(length, 'n');
  };
  const auto named = [&](size_t length) {
    return archive("}(" + long_text(length) + kMatrix + "u");
  };
  EXPECT_EQ(parsed(named(kMostTensorName)).at(0).name.size(), kMostTensorName);
  EXPECT_THAT(refusal(named(kMostTensorName + 1)), HasSubstr("a tensor's name, 'nnnn"));
  // Keys of a file without tensors are told, but not whole.
  EXPECT_LT(refusal(archive("}(" + long_text(60'000) + byte(1) + "u")).size(), 300u);
}

// Whatever a file's bytes are, it is read or refused.
TEST(TorchFile, AnyByteMayBeWrong) {
  const std::string code = dict({{"w", kMatrix}, {"args", "cargparse\nNamespace\n)\x81}b"}});
  int64_t read = 0;
  for (size_t at = 0; at < code.size(); ++at) {
    for (int value = 0; value < 256; value += 7) {
      std::string changed = code;
      changed[at] = static_cast<char>(value);
      try {
        for (const TorchTensor& each : parsed(archive(changed))) read += each.read().numel();
      } catch (const RequestError&) {
      }
    }
    try {
      parsed(archive(code.substr(0, at)));
    } catch (const RequestError&) {
    }
  }
  EXPECT_GT(read, 0);
}

// --- pickles ---

const PickleValue* found(const Pickle& pickle, const char* key) { return pickle.root().find(key); }

TEST(Pickle, ReadsValuesOfLaterProtocolsToo) {
  // {"a": [1, -2, 2.5, True, None], "b": ("x", b"y")}, as protocol 4 writes it.
  const std::string code =
      "\x80\x04\x95\x30\0\0\0\0\0\0\0}\x94(\x8c\x01"
      "a\x94]\x94(K\x01J\xfe\xff\xff\xffG\x40\x04\0\0\0\0\0\0\x88Ne\x8c\x01"
      "b\x94\x8c\x01x\x94"
      "C\x01y\x94\x86\x94u."s;
  const Pickle pickle(std::as_bytes(std::span(code)), "test");
  const PickleValue* list = found(pickle, "a");
  ASSERT_TRUE(list != nullptr && list->is_list(5));
  EXPECT_EQ(list->items[0]->integer, 1);
  EXPECT_EQ(list->items[1]->integer, -2);
  EXPECT_EQ(list->items[2]->number, 2.5);
  EXPECT_EQ(list->items[3]->kind, PickleValue::Kind::boolean);
  EXPECT_EQ(list->items[4]->kind, PickleValue::Kind::none);
  ASSERT_TRUE(found(pickle, "b")->is_list(2));
  EXPECT_EQ(found(pickle, "b")->items[1]->text, "y");
}

TEST(Pickle, ReadsLongIntegers) {
  const std::string code = "\x80\x02(\x8a\0\x8a\x01\xff\x8a\x03\0\0\x01l."s;
  const Pickle pickle(std::as_bytes(std::span(code)), "test");
  ASSERT_TRUE(pickle.root().is_list(3));
  EXPECT_EQ(pickle.root().items[0]->integer, 0);
  EXPECT_EQ(pickle.root().items[1]->integer, -1);
  EXPECT_EQ(pickle.root().items[2]->integer, 65536);
}

TEST(Pickle, MayHoldItself) {
  const std::string code = "]q\0h\0a."s;
  const Pickle pickle(std::as_bytes(std::span(code)), "test");
  EXPECT_EQ(pickle.root().items.at(0), &pickle.root());
}

// A few bytes name what was remembered: without a limit, memory would grow with the square.
TEST(Pickle, NamesHaveALimit) {
  const auto of = [](const std::string& code) {
    return request_error([&] { Pickle(std::as_bytes(std::span(code)), "test"); });
  };
  const auto by_line = [](size_t length) { return fmt::format("c{:m>{}}\nname\n.", "", length); };
  const auto remembered = [](size_t length) {  // a text of that length, twice from the memo
    return "X"s + static_cast<char>(length & 0xff) + static_cast<char>(length >> 8) + "\0\0"s +
           std::string(length, 'n') + "\x94h\0\x93."s;
  };
  for (const auto& code : {by_line(Pickle::kMostName), remembered(Pickle::kMostName)}) {
    EXPECT_EQ(of(code), "no error");
  }
  EXPECT_THAT(of(by_line(Pickle::kMostName + 1)), HasSubstr("byte 0 of the pickle: a name of 257"));
  EXPECT_THAT(of(remembered(Pickle::kMostName + 1)), HasSubstr("a name of 257 bytes or more"));
  EXPECT_THAT(of("cmodule"), HasSubstr("cut short"));
  EXPECT_THAT(of("cmodule\nname"), HasSubstr("cut short"));
}

TEST(Pickle, RefusesWhatIsBroken) {
  const auto of = [](const std::string& code) {
    return request_error([&] { Pickle(std::as_bytes(std::span(code)), "test"); });
  };
  EXPECT_THAT(of("}"), HasSubstr("cut short"));
  EXPECT_THAT(of("."), HasSubstr("nothing is on the stack"));
  EXPECT_THAT(of("(0."), HasSubstr("nothing is on the stack"));
  EXPECT_THAT(of("u."), HasSubstr("no mark"));
  EXPECT_THAT(of("}(Nu."), HasSubstr("a key without a value"));
  EXPECT_THAT(of("h\x05."), HasSubstr("has not remembered"));
  EXPECT_THAT(of("X\xff\xff\xff\xff."), HasSubstr("cut short"));
  EXPECT_THAT(of("NN\x93."), HasSubstr("a global without a name"));
  EXPECT_THAT(of("I1\n."), HasSubstr("0x49 is not read"));
  EXPECT_THAT(of("\x80\x09."), HasSubstr("protocol 9"));
}

}  // namespace
}  // namespace heed::data
