#include "core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/files.h"
#include "core/views.h"
#include "tests/core/mutate.h"
#include "tests/core/raises.h"
#include "tests/core/temp_folder.h"

namespace heed {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

std::string temp(const std::string& name) { return temp_folder() + name; }

std::span<std::byte> bytes_of(std::string& text) {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

// A file with this header and `data` bytes of zeros behind it.
std::string file_with(const std::string& header, size_t data) {
  const uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data, '\0');
}

std::string parse_error(std::string file) {
  return request_error([&] { parse_safetensors(bytes_of(file), "f"); });
}

void expect_same(const Tensor& a, const Tensor& b, const std::string& name) {
  ASSERT_TRUE(a.defined() && b.defined()) << name;
  EXPECT_EQ(a.dtype(), b.dtype()) << name;
  EXPECT_EQ(a.shape(), b.shape()) << name;
  EXPECT_EQ(a.to_vector<double>(), b.to_vector<double>()) << name;
}

NamedTensors samples() {
  NamedTensors all;
  const std::vector<Shape> shapes = {
      {}, {1}, {3}, {2, 3}, {0}, {3, 0, 2}, {1, 2, 1, 2, 1, 1, 1, 3}};
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i32, DType::i64,
                      DType::u8, DType::boolean}) {
    for (size_t i = 0; i < shapes.size(); ++i) {
      Tensor t = Tensor::empty(shapes[i], dtype);
      dispatch_any(dtype, [&](auto type) {
        using T = decltype(type);
        for (int64_t n = 0; n < t.numel(); ++n) {
          if constexpr (std::is_same_v<T, bfloat16> || std::is_same_v<T, float16>) {
            t.data<T>()[n] = T(static_cast<float>(n) * 0.5f - 1);
          } else {
            t.data<T>()[n] = static_cast<T>(n % 7);
          }
        }
      });
      all.emplace_back(fmt::format("{}.{}", name_of(dtype), i), t);
    }
  }
  all.emplace_back("\"quoted\" \xc3\xbc\n\\", Tensor::scalar(1.5));
  return all;
}

TEST(Safetensors, WhatIsWrittenIsRead) {
  const std::string path = temp("round.safetensors");
  const NamedTensors written = samples();
  write_safetensors(path, written, {{"format", "pt"}, {"note", "two\nlines"}});
  const SafetensorsFile file = read_safetensors(path);
  EXPECT_EQ(file.tensors.size(), written.size());
  for (const auto& [name, tensor] : written) expect_same(file.find(name), tensor, name);
  EXPECT_EQ(file.metadata, (std::vector<std::pair<std::string, std::string>>{
                               {"format", "pt"}, {"note", "two\nlines"}}));
  EXPECT_FALSE(file.find("none").defined());
}

TEST(Safetensors, TheSameTensorsGiveTheSameBytes) {
  NamedTensors tensors = samples();
  write_safetensors(temp("a"), tensors);
  std::reverse(tensors.begin(), tensors.end());
  write_safetensors(temp("b"), tensors);
  EXPECT_EQ(read_file(temp("a")), read_file(temp("b")));
}

TEST(Safetensors, NoTensorsMakeAFile) {
  write_safetensors(temp("none"), {});
  EXPECT_EQ(read_file(temp("none")), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  EXPECT_TRUE(read_safetensors(temp("none")).tensors.empty());
}

TEST(Safetensors, StridedTensorsAreWrittenInRowMajorOrder) {
  const Tensor x = Tensor::from<float>({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor flags = Tensor::from<bool>({true, false, false, true, true, false}, {2, 3});
  write_safetensors(temp("strided"), {{"t", views::transpose(x, 0, 1)},
                                      {"row", views::select(x, 0, 1)},
                                      {"wide", views::expand(views::slice(x, 0, 0, 1), {2, 3})},
                                      {"flags", views::transpose(flags, 0, 1)}});
  const SafetensorsFile file = read_safetensors(temp("strided"));
  EXPECT_EQ(file.find("t").to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(file.find("row").to_vector<float>(), (std::vector<float>{3, 4, 5}));
  EXPECT_EQ(file.find("wide").to_vector<float>(), (std::vector<float>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(file.find("flags").to_vector<int64_t>(), (std::vector<int64_t>{1, 1, 0, 1, 0, 0}));
}

TEST(Safetensors, TensorsLieInTheMappedFileAndOutliveIt) {
  const std::string path = temp("mapped");
  write_safetensors(path, {{"a", Tensor::full({1000}, 2.0)}, {"b", Tensor::full({3}, 1.0)}});
  const int64_t before = allocator::stats().allocations;
  Tensor a = read_safetensors(path).find("a");
  EXPECT_EQ(allocator::stats().allocations, before);
  a.data<float>()[0] = 7;  // this process' copy
  EXPECT_EQ(read_safetensors(path).find("a").to_vector<float>()[0], 2.0f);
  std::filesystem::remove(path);
  EXPECT_EQ(a.to_vector<float>()[999], 2.0f);
}

TEST(Safetensors, MisalignedTensorsAreCopied) {
  // A header of odd length, as other writers may leave it, puts the doubles at odd addresses.
  std::string file = file_with(
      R"({"x":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},"y":{"dtype":"U8","shape":[1],)"
      R"("data_offsets":[16,17]}} )",
      17);
  file[file.size() - 17 + 6] = '\xf0';
  file[file.size() - 17 + 7] = '\x3f';
  for (size_t shift = 0; shift < 8; ++shift) {
    std::string moved(shift, ' ');
    moved += file;
    const auto owner = std::make_shared<std::string>(moved);
    const SafetensorsFile parsed = parse_safetensors(bytes_of(*owner).subspan(shift), "f", owner);
    EXPECT_EQ(parsed.find("x").to_vector<double>(), (std::vector<double>{1, 0}));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(parsed.find("x").raw()) % 8, 0u);
  }
}

TEST(Safetensors, DataMayComeInAnyOrderOfNames) {
  std::string file = file_with(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},)"
                               R"("e":{"dtype":"F32","shape":[0],"data_offsets":[1,1]},)"
                               R"("a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
                               3);
  const SafetensorsFile parsed = parse_safetensors(bytes_of(file), "f");
  ASSERT_EQ(parsed.tensors.size(), 3u);
  EXPECT_EQ(parsed.tensors[0].first, "a");
  EXPECT_EQ(parsed.tensors[1].first, "e");
  EXPECT_EQ(parsed.tensors[2].first, "b");
}

TEST(Safetensors, BrokenFilesAreNamedWithTheirFault) {
  const auto with = [](const std::string& entry, size_t data) {
    return parse_error(file_with("{\"x\":" + entry + "}", data));
  };
  EXPECT_THAT(parse_error(""), StartsWith("f: not a safetensors file: 0 bytes"));
  EXPECT_THAT(parse_error("abc"), StartsWith("f: not a safetensors file: 3 bytes"));
  EXPECT_THAT(parse_error("PK\x03\x04\x14\x14\x08\x08rest of a zip file"),
              HasSubstr("byte 0 announces a header of"));
  EXPECT_EQ(parse_error(file_with("{}", 0).substr(0, 9)),
            "f: cut short: byte 0 announces a header of 2 bytes, the file has 1 behind it");
  EXPECT_EQ(parse_error(file_with(" {}", 0)), "f: byte 8: the header must start with '{'");
  EXPECT_THAT(parse_error(file_with("{\"x\": }", 0)), StartsWith("f: header:1:7: syntax error"));
  EXPECT_THAT(parse_error(file_with("{\"\xff\": 1}", 0)), HasSubstr("UTF-8"));
  EXPECT_THAT(parse_error(file_with("{\"x\":1,\"x\":2}", 0)),
              HasSubstr("the key 'x' was already given"));
  EXPECT_EQ(with("3", 0), "f: tensor 'x': must be a map, got integer 3");
  EXPECT_EQ(with(R"({"shape":[],"data_offsets":[0,4]})", 4),
            "f: tensor 'x': 'dtype' must be a string");
  EXPECT_EQ(with(R"({"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]})", 4),
            "f: tensor 'x': dtype F8_E5M2 is not read; those that are: F64, F32, F16, BF16, I64, "
            "I32, U8, BOOL");
  EXPECT_EQ(with(R"({"dtype":"F32","data_offsets":[0,4]})", 4),
            "f: tensor 'x': 'shape' must be a list of extents");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4),
            "f: tensor 'x': 'shape' must hold integers from 0, got integer -1");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", 4),
            "f: tensor 'x': 'shape' must hold integers from 0, got number 1.0");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]})", 4),
            "f: tensor 'x': rank 9, at most 8 is read");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", 4),
            "f: tensor 'x': 'data_offsets' must be two byte offsets");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 8),
            "f: tensor 'x': data_offsets [4, 8], but the data before it ends at 0");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})", 8),
            "f: tensor 'x': F32 of shape [1] takes 4 bytes, data_offsets [0, 8] give 8");
  EXPECT_EQ(with(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})", 12),
            "f: cut short: tensor 'x' ends at byte 16 of the data, the file has 12");
  EXPECT_EQ(with(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})", 3),
            "f: 2 bytes from byte 62 on belong to no tensor");
  for (const char* shape : {"[4294967296,4294967296]", "[9223372036854775807,3]",
                            "[4611686018427387904,4611686018427387904,0]",
                            "[0,4611686018427387904,4611686018427387904]"}) {
    EXPECT_THAT(with(fmt::format(R"({{"dtype":"F32","shape":{},"data_offsets":[0,0]}})", shape), 0),
                HasSubstr("overflows"));
  }
  std::string flags = file_with(R"({"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", 3);
  flags.back() = '\x02';
  EXPECT_EQ(parse_error(flags), "f: tensor 'x': byte 65: a boolean is 0 or 1, this is 2");
  EXPECT_EQ(parse_error(file_with(R"({"__metadata__":{"a":1}})", 0)),
            "f: '__metadata__': 'a' must be a string, got integer 1");
}

TEST(Safetensors, OverlapsAreRefused) {
  const auto two = [](const char* x, const char* y) {
    return parse_error(
        file_with(fmt::format(R"({{"x":{{"dtype":"U8","shape":[4],"data_offsets":{}}},)"
                              R"("y":{{"dtype":"U8","shape":[4],"data_offsets":{}}}}})",
                              x, y),
                  8));
  };
  EXPECT_EQ(two("[0,4]", "[4,8]"), "no error");
  EXPECT_EQ(two("[4,8]", "[0,4]"), "no error");
  EXPECT_THAT(two("[0,4]", "[0,4]"), HasSubstr("the data before it ends at 4"));
  EXPECT_THAT(two("[0,4]", "[2,6]"), HasSubstr("tensor 'y': data_offsets [2, 6]"));
  EXPECT_THAT(two("[0,4]", "[5,9]"), HasSubstr("the data before it ends at 4"));
}

TEST(Safetensors, TheWriterRefusesWhatTheFormatForbids) {
  const Tensor x = Tensor::zeros({1});
  EXPECT_THROW(write_safetensors(temp("bad"), {{"x", x}, {"x", x}}), Error);
  EXPECT_THROW(write_safetensors(temp("bad"), {{"__metadata__", x}}), Error);
  EXPECT_THROW(write_safetensors(temp("bad"), {{"\xff", x}}), Error);
  EXPECT_THROW(write_safetensors(temp("bad"), {{"x", Tensor()}}), Error);
  EXPECT_THROW(write_safetensors(temp("bad"), {{"x", x}}, {{"k", "\xff"}}), Error);
  EXPECT_FALSE(std::filesystem::exists(temp("bad")));
}

TEST(Safetensors, ShardsAreReadThroughTheirIndex) {
  const std::string dir = temp("shards");
  make_directories(dir);
  write_safetensors(dir + "/one.safetensors", {{"a", Tensor::scalar(1.0f)}});
  write_safetensors(dir + "/two.safetensors", {{"b", Tensor::scalar(2.0f)}});
  const std::string index = dir + "/model.safetensors.index.json";
  const auto with = [&](const std::string& weight_map) {
    write_file_atomically(index,
                          R"({"metadata": {"total_size": 8}, "weight_map": )" + weight_map + "}");
    return request_error([&] { read_safetensors(dir); });
  };
  EXPECT_EQ(with(R"({"a": "one.safetensors", "b": "two.safetensors"})"), "no error");
  for (const std::string& path : {dir, index}) {
    const SafetensorsFile file = read_safetensors(path);
    EXPECT_EQ(file.find("a").item() + file.find("b").item(), 3.0);
    EXPECT_EQ(file.metadata[0].second, "8");
  }
  EXPECT_THAT(with(R"({"a": "two.safetensors"})"), HasSubstr("'a' is not in"));
  EXPECT_THAT(with(R"({"a": "tow.safetensors"})"), HasSubstr("did you mean"));
  EXPECT_THAT(with(R"({"a": "../one.safetensors"})"), HasSubstr("beside this one"));
  EXPECT_THAT(with("3"), HasSubstr("expected a map"));
}

TEST(Safetensors, PendingTensorsAreMadeOneByOne) {
  int alive = 0, most = 0;
  std::vector<PendingTensor> tensors;
  for (const char* name : {"c", "a", "b"}) {
    tensors.push_back({name,
                       DType::f32,
                       {5},
                       [&, name] {
                         most = std::max(most, ++alive);
                         return Tensor::full({5}, name[0]);
                       },
                       [&] { --alive; }});
  }
  write_pending_safetensors(temp("pending"), tensors);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(most, 1);
  write_safetensors(temp("whole"), {{"a", Tensor::full({5}, 'a')},
                                    {"b", Tensor::full({5}, 'b')},
                                    {"c", Tensor::full({5}, 'c')}});
  EXPECT_EQ(read_file(temp("pending")), read_file(temp("whole")));
  tensors[1].shape = {6};
  EXPECT_THROW(write_pending_safetensors(temp("pending"), tensors), Error);
}

TEST(Safetensors, ShardsAreOfTheSizeAskedForAndReadAsOne) {
  const std::string dir = temp("cut");
  make_directories(dir);
  std::vector<PendingTensor> tensors;
  for (const char* name : {"x", "large", "y", "z"}) {
    tensors.push_back(pending(name, Tensor::full({name[0] == 'l' ? 30 : 10}, name[0])));
  }
  EXPECT_THAT(
      write_safetensors_shards(dir, tensors, 80, {{"format", "pt"}}),
      testing::ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                           "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  const SafetensorsFile file = read_safetensors(dir);
  EXPECT_EQ(file.files.size(), 3u);
  EXPECT_EQ(file.metadata[0].second, "240");
  for (const PendingTensor& tensor : tensors)
    expect_same(file.find(tensor.name), tensor.make(), "");
  EXPECT_THAT(write_safetensors_shards(temp(""), tensors, 240),
              testing::ElementsAre("model.safetensors"));
}

TEST(Safetensors, PagesThatWereGivenBackAreReadAgain) {
  write_safetensors(temp("pages"), {{"a", Tensor::full({5000}, 3.0)}});
  const SafetensorsFile file = read_safetensors(temp("pages"));
  const Tensor a = file.find("a");
  EXPECT_EQ(a.to_vector<float>()[4321], 3.0f);
  file.release(a);
  EXPECT_EQ(a.to_vector<float>()[4321], 3.0f);
  file.release(Tensor::full({3}, 1.0));  // of no file: stays as it is
}

// Runs a script of tests/interop with the interpreter named by HEED_PYTHON ("python3" by default).
int run_python(const std::string& script, const std::string& arguments) {
  const char* python = std::getenv("HEED_PYTHON");
  const std::string command =
      fmt::format("{} {}/tests/interop/{} {}", python != nullptr ? python : "python3",
                  HEED_SOURCE_DIR, script, arguments);
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Safetensors, ThePythonPackageAgrees) {
  const std::string theirs = temp("theirs.safetensors"), ours = temp("ours.safetensors");
  const int made = run_python("safetensors_check.py", "make " + theirs);
  if (made == 77 || made == 127) GTEST_SKIP() << "torch or safetensors is not importable";
  ASSERT_EQ(made, 0);
  const SafetensorsFile file = read_safetensors(theirs);
  write_safetensors(ours, file.tensors, file.metadata);
  EXPECT_EQ(run_python("safetensors_check.py", "verify " + ours), 0);
}

TEST(Safetensors, DamagedFilesAreReadOrRefused) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : samples()) {
    if (name.ends_with(".3") || name.ends_with(".0")) tensors.emplace_back(name, tensor);
  }
  write_safetensors(temp("fuzz"), tensors, {{"format", "pt"}});
  const std::string good = read_file(temp("fuzz"));
  int read = 0, refused = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    std::string bad = mutate(good, seed);
    try {
      const SafetensorsFile file = parse_safetensors(bytes_of(bad), "f");
      for (const auto& [name, tensor] : file.tensors) tensor.to_vector<double>();
      ++read;
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), StartsWith("f: "));
      ++refused;
    }
  }
  EXPECT_GT(read, 100);      // the damage is not always fatal ...
  EXPECT_GT(refused, 1000);  // ... but mostly
}

}  // namespace
}  // namespace heed
