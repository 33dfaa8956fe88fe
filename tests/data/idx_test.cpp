#include "data/idx.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace heed::data {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

Tensor parsed(const std::string& bytes) {
  return parse_idx(std::as_bytes(std::span(bytes)), "file");
}

std::string error_of(const std::string& bytes) {
  try {
    parsed(bytes);
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

TEST(IdxFile, ReadsBytesInTheirShape) {
  const Tensor tensor = parsed("\0\0\x08\2\0\0\0\2\0\0\0\3abcdef"s);
  EXPECT_EQ(tensor.shape(), (Shape{2, 3}));
  EXPECT_EQ(tensor.to_vector<double>(), (std::vector<double>{97, 98, 99, 100, 101, 102}));
  EXPECT_EQ(parsed("\0\0\x08\2\0\0\0\0\0\0\0\3"s).shape(), (Shape{0, 3}));
}

TEST(IdxFile, RefusesWhatDoesNotFit) {
  EXPECT_THAT(error_of("\0\1\x08\1\0\0\0\0"s), HasSubstr("two zero bytes"));
  EXPECT_THAT(error_of("\0\0\x0d\1\0\0\0\0"s), HasSubstr("element type 0x0d"));
  EXPECT_THAT(error_of("\0\0\x08\2\0\0\0\2"s), HasSubstr("2 dimensions in a file of 8 bytes"));
  EXPECT_THAT(error_of("\0\0\x08\1\0\0\0\3ab"s), HasSubstr("does not fit the 2 bytes"));
  // No elements, and yet no tensor: the strides are beyond any memory.
  EXPECT_THAT(error_of("\0\0\x08\3\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"s + ""),
              HasSubstr("does not fit the 0 bytes"));
}

}  // namespace
}  // namespace heed::data
