#include "autograd/ops/einsum.h"

#include <map>

#include "tests/autograd/testing.h"

namespace heed {
namespace {

using testing::expect_gradients;
using testing::strided;
using testing::uniform;
using Inputs = std::vector<Tensor>;

struct Case {
  std::string equation;
  std::vector<std::string> operands;
  std::string result;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"ij->ji", {"ij"}, "ji"},
      {"ijk->j", {"ijk"}, "j"},
      {"ij->", {"ij"}, ""},
      {"i,i->", {"i", "i"}, ""},
      {"i,j->ij", {"i", "j"}, "ij"},
      {"i,j->ji", {"i", "j"}, "ji"},
      {"ij,ij->ij", {"ij", "ij"}, "ij"},
      {"ij,j->i", {"ij", "j"}, "i"},
      {"ij,kj->ki", {"ij", "kj"}, "ki"},
      {"bhnd,bhmd->bhnm", {"bhnd", "bhmd"}, "bhnm"},
      {"bnhd,bmhd->bhnm", {"bnhd", "bmhd"}, "bhnm"},
      {"bhnm,bmhd->bnhd", {"bhnm", "bmhd"}, "bnhd"},
      {"abc,cda->bd", {"abc", "cda"}, "bd"},
      {"abc,bd->a", {"abc", "bd"}, "a"},
      {"ij, jk, kl -> li", {"ij", "jk", "kl"}, "li"},
      {"a,b,c->cab", {"a", "b", "c"}, "cab"},
      {"bi,bj,ijk->bk", {"bi", "bj", "ijk"}, "bk"},
  };
  return all;
}

int64_t extent_of(char label) { return 1 + (label * 7) % 4; }

Shape shape_of(const std::string& labels) {
  Shape shape;
  for (const char label : labels) shape.push_back(extent_of(label));
  return shape;
}

// The sum over every assignment of the labels.
std::vector<double> naive(const Case& c, const std::vector<Tensor>& x) {
  std::map<char, int64_t> at;
  for (const std::string& labels : c.operands) {
    for (const char label : labels) at[label] = 0;
  }
  const auto offset = [&](const std::string& labels) {
    int64_t i = 0;
    for (const char label : labels) i = i * extent_of(label) + at[label];
    return static_cast<size_t>(i);
  };
  std::vector<std::vector<double>> in;
  for (const Tensor& t : x) in.push_back(t.to_vector<double>());
  std::vector<double> out(static_cast<size_t>(shape_of(c.result).numel()));
  while (true) {
    double product = 1;
    for (size_t k = 0; k < in.size(); ++k) product *= in[k][offset(c.operands[k])];
    out[offset(c.result)] += product;
    auto label = at.begin();
    for (; label != at.end() && ++label->second == extent_of(label->first); ++label) {
      label->second = 0;
    }
    if (label == at.end()) return out;
  }
}

TEST(Einsum, EqualsTheSumOverAllIndices) {
  for (const Case& c : cases()) {
    Inputs x;
    for (size_t k = 0; k < c.operands.size(); ++k) {
      x.push_back(strided(shape_of(c.operands[k]), -2, 2, k + 1));
    }
    const Tensor y = einsum(c.equation, x);
    EXPECT_EQ(y.shape(), shape_of(c.result)) << c.equation;
    const auto got = y.to_vector<double>(), want = naive(c, x);
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-12) << c.equation;
  }
}

TEST(Einsum, Gradients) {
  for (const Case& c : cases()) {
    Inputs x;
    for (size_t k = 0; k < c.operands.size(); ++k) {
      x.push_back(uniform(shape_of(c.operands[k]), -2, 2, k + 1));
    }
    expect_gradients([&](const Inputs& in) { return einsum(c.equation, in); }, x);
  }
}

std::string message_of(const std::string& equation, const Inputs& x) {
  try {
    einsum(equation, x);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Einsum, DotsAreTheDimensionsWithoutALetter) {
  const auto equal = [](const Tensor& got, const Tensor& expected) {
    EXPECT_EQ(got.shape(), expected.shape());
    EXPECT_EQ(got.to_vector<double>(), expected.to_vector<double>());
  };
  const Tensor q = strided({2, 3, 4, 5}), k = uniform({2, 3, 6, 5}), m = uniform({6, 5});
  equal(einsum("...nd,...md->...nm", {q, k}), einsum("bhnd,bhmd->bhnm", {q, k}));
  equal(einsum("...nd, md -> n...m", {q, m}), einsum("bhnd,md->nbhm", {q, m}));
  equal(einsum("...->...", {q}), q);
  equal(einsum("a...->...a", {q}), einsum("abcd->bcda", {q}));
  equal(einsum("...d->d", {m}), einsum("ad->d", {m}));
  // Aligned from the last, extents of 1 broadcast.
  const Tensor one = uniform({3, 1, 6, 5});
  equal(einsum("...nd,...md->...nm", {uniform({2, 4, 5}), one}),
        einsum("bnd,amd->abnm", {uniform({2, 4, 5}), views::reshape(one, {3, 6, 5})}));
  expect_gradients([](const Inputs& in) { return einsum("...nd,...md->...nm", in); },
                   {uniform({2, 3, 2}), uniform({2, 1, 4, 2})});
  EXPECT_THROW(einsum("...nd,nd->...", {uniform({3}), uniform({2, 3})}), Error);
  EXPECT_THROW(einsum("...a...->...", {m}), Error);
  EXPECT_THROW(einsum("..a->a", {m}), Error);
  EXPECT_THROW(einsum("...a,...a->...", {uniform({2, 3}), uniform({4, 3})}), Error);
}

TEST(Einsum, WrongEquations) {
  const Tensor x = uniform({2, 3}), y = uniform({4, 2});
  EXPECT_NE(message_of("ij", {x}).find("'->'"), std::string::npos);
  EXPECT_NE(message_of("i1->i", {x}).find("'1'"), std::string::npos);
  EXPECT_NE(message_of("ii->i", {x}).find("twice"), std::string::npos);
  EXPECT_NE(message_of("ij->k", {x}).find("'k'"), std::string::npos);
  EXPECT_NE(message_of("ijk->i", {x}).find("ijk"), std::string::npos);
  EXPECT_NE(message_of("ij,jk->ik", {x, y}).find("3 and 4"), std::string::npos);
  EXPECT_NE(message_of("ij,jk->ik", {x}).find("operands"), std::string::npos);
}

}  // namespace
}  // namespace heed
