#include "core/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

std::string temp(const std::string& name) { return temp_folder() + name; }

std::span<std::byte> bytes_of(std::string& text) {
  return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

std::string file_with(const std::string& header, size_t data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  size_t length = header.size();
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i, length >>= 8) {
    out += static_cast<char>(length & 0xff);
  }
  return out + header + std::string(data, '\0');
}

Tensor parse(std::string file) { return parse_npy(bytes_of(file), "f"); }

std::string parse_error(const std::string& file) {
  return request_error([&] { parse(file); });
}

TEST(Npy, WhatIsWrittenIsRead) {
  for (DType dtype :
       {DType::f32, DType::f16, DType::f64, DType::i32, DType::i64, DType::u8, DType::boolean}) {
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0}, Shape{2, 0, 3},
                               Shape{1, 1, 1, 1, 1, 1, 1, 2}}) {
      const Tensor x = Tensor::full(shape, 1, dtype);
      write_npy(temp("x.npy"), x);
      const Tensor y = read_npy(temp("x.npy"));
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_EQ(y.shape(), shape);
      EXPECT_EQ(y.to_vector<double>(), x.to_vector<double>());
      EXPECT_EQ((read_file(temp("x.npy")).size() - static_cast<size_t>(x.bytes())) % 64, 0u);
    }
  }
}

TEST(Npy, WritesTheHeaderThatNumpyWrites) {
  const auto header = [](const Tensor& x) {
    write_npy(temp("h.npy"), x);
    const std::string text = read_file(temp("h.npy")).substr(10);
    return text.substr(0, text.find('}') + 1);
  };
  EXPECT_EQ(header(Tensor::zeros({})), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
  EXPECT_EQ(header(Tensor::zeros({7}, DType::u8)),
            "{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }");
  EXPECT_EQ(header(Tensor::zeros({2, 3}, DType::i64)),
            "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }");
}

TEST(Npy, StridedTensorsAreWrittenInRowMajorOrder) {
  const Tensor x = Tensor::from<int32_t>({0, 1, 2, 3, 4, 5}, {2, 3});
  write_npy(temp("t.npy"), views::transpose(x, 0, 1));
  EXPECT_EQ(read_npy(temp("t.npy")).to_vector<int64_t>(), (std::vector<int64_t>{0, 3, 1, 4, 2, 5}));
}

TEST(Npy, BfloatIsRefused) {
  EXPECT_THROW(write_npy(temp("b.npy"), Tensor::zeros({1}, DType::bf16)), Error);
  EXPECT_FALSE(std::filesystem::exists(temp("b.npy")));
}

TEST(Npy, ReadsOtherWritersHeaders) {
  EXPECT_EQ(
      parse(file_with("{\"shape\":(2,),\"descr\":\"<f8\",\"fortran_order\":False}", 16)).shape(),
      (Shape{2}));
  EXPECT_EQ(
      parse(file_with("{'descr': '=i4', 'fortran_order': False, 'shape': (1,2)}\n", 8, 2)).shape(),
      (Shape{1, 2}));
  EXPECT_EQ(parse(file_with("{'descr': '<u1', 'fortran_order': False, 'shape': ()}", 1, 3)).rank(),
            0);
}

TEST(Npy, BrokenFilesAreNamedWithTheirFault) {
  const auto with = [](const std::string& header, size_t data = 0) {
    return parse_error(file_with(header, data));
  };
  EXPECT_EQ(parse_error(""), "f: not a .npy file (it starts otherwise)");
  EXPECT_EQ(parse_error("PK\x03\x04"), "f: not a .npy file (it starts otherwise)");
  EXPECT_THAT(parse_error(file_with("{}", 0).substr(0, 9)), HasSubstr("cut short"));
  EXPECT_EQ(parse_error(file_with("{}", 0, 9)), "f: byte 6: version 9 of .npy is not read");
  EXPECT_THAT(parse_error(file_with("{}", 0).substr(0, 11)),
              StartsWith("f: byte 8: a header of 2 bytes"));
  EXPECT_THAT(with("{}"), HasSubstr("must give 'descr', 'fortran_order' and 'shape'"));
  EXPECT_EQ(with("{'descr': '>f4', 'fortran_order': False, 'shape': ()}"),
            "f: byte 20: '>f4': big-endian elements are not read");
  EXPECT_THAT(with("{'descr': '<c8', 'fortran_order': False, 'shape': ()}"),
              HasSubstr("elements '<c8' are not read; those that are: <f8"));
  EXPECT_THAT(with("{'descr': '|f4', 'fortran_order': False, 'shape': ()}"),
              HasSubstr("elements '|f4' are not read"));
  EXPECT_THAT(with("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}"),
              HasSubstr("structured elements"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': True, 'shape': ()}"),
              HasSubstr("column-major"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}"),
              HasSubstr("True or False"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"),
              HasSubstr("an extent must be an integer"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}"),
              HasSubstr("an extent must be an integer"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}"),
              HasSubstr("rank 9"));
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296,4294967296)}"),
              HasSubstr("overflows"));
  EXPECT_THAT(with("{'descr': '<f4', 'descr': '<f4', 'shape': ()}"), HasSubstr("'descr' twice"));
  EXPECT_THAT(with("{'x': 1}"), HasSubstr("unknown key 'x'"));
  EXPECT_THAT(with("{'descr': '<f4"), HasSubstr("without an end"));
  EXPECT_EQ(with("{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", 4),
            "f: byte 64: text behind the header's dict");
  EXPECT_EQ(with("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", 8),
            "f: f32 of shape [3] takes 12 bytes, 8 follow byte 65");
  EXPECT_THAT(with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 8),
              HasSubstr("takes 4 bytes, 8 follow"));
  std::string flags = file_with("{'descr': '|b1', 'fortran_order': False, 'shape': (2,)}", 2);
  flags.back() = '\x07';
  EXPECT_EQ(parse_error(flags), "f: byte 66: a boolean is 0 or 1, this is 7");
}

TEST(Npy, DamagedFilesAreReadOrRefused) {
  write_npy(temp("fuzz.npy"), Tensor::zeros({2, 3}));
  const std::string good = read_file(temp("fuzz.npy"));
  int read = 0, refused = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    try {
      parse(mutate(good, seed)).to_vector<double>();
      ++read;
    } catch (const RequestError& error) {
      EXPECT_THAT(error.what(), StartsWith("f: "));
      ++refused;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace heed
