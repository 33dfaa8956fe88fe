#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "distributed/communicator.h"
#include "distributed/world.h"

namespace heed {
namespace {

constexpr DType kAll[] = {DType::f32, DType::f64,  DType::i32, DType::i64,
                          DType::u8,  DType::bf16, DType::f16};

// Numbers that every dtype holds, another row for each rank.
Tensor numbers(int rank, int64_t n, DType dtype) {
  const Tensor x = Tensor::empty({n}, dtype);
  for (int64_t i = 0; i < n; ++i) {
    const Tensor one = Tensor::full({1}, static_cast<double>((7 * i + 3 * rank) % 13), dtype);
    std::memcpy(static_cast<std::byte*>(x.raw()) + i * static_cast<int64_t>(size_of(dtype)),
                one.raw(), size_of(dtype));
  }
  return x;
}

double number(int rank, int64_t i) { return static_cast<double>((7 * i + 3 * rank) % 13); }

TEST(Communicator, KnowsItsRanks) {
  EXPECT_EQ(world().size(), launch().size);
  EXPECT_EQ(world().rank(), launch().rank);
  EXPECT_EQ(world().name(), world().size() > 1 ? "mpi" : "self");
}

TEST(Communicator, ReducesEveryDtype) {
  Communicator& ranks = world();
  for (const DType dtype : kAll) {
    for (const int64_t n : {0, 1, 17, 1031, 70001}) {
      for (const ReduceOp op : {ReduceOp::sum, ReduceOp::max, ReduceOp::min}) {
        const Tensor x = numbers(ranks.rank(), n, dtype);
        const uint64_t version = x.version();
        ranks.all_reduce(x, op);
        EXPECT_GT(x.version(), version);
        const std::vector<double> got = x.to_vector<double>();
        for (int64_t i = 0; i < n; ++i) {
          double want = number(0, i);
          for (int r = 1; r < ranks.size(); ++r) {
            const double other = number(r, i);
            want = op == ReduceOp::sum   ? want + other
                   : op == ReduceOp::max ? std::max(want, other)
                                         : std::min(want, other);
          }
          ASSERT_EQ(got[static_cast<size_t>(i)], want) << name_of(dtype) << " " << i;
        }
      }
    }
  }
}

TEST(Communicator, TakesTheMeanOfFloats) {
  Communicator& ranks = world();
  EXPECT_EQ(ranks.all_reduce_number(ranks.rank(), ReduceOp::mean), 0.5 * (ranks.size() - 1));
  EXPECT_THROW(ranks.all_reduce(Tensor::zeros({2}, DType::i64), ReduceOp::mean), Error);
}

// Large ones go by messages (distributed/mpi_reduction.h).
TEST(Communicator, LargeReductionsAreInOrderOfRank) {
  Communicator& ranks = world();
  constexpr int64_t kCount = 100003;
  const auto value = [](int rank, int64_t i) {
    return static_cast<float>((7 * i + 3) % 101) * 1e-3f + 1e4f * static_cast<float>(rank * rank);
  };
  std::vector<float> own, sum;
  for (int64_t i = 0; i < kCount; ++i) {
    own.push_back(value(ranks.rank(), i));
    float total = value(0, i);
    for (int r = 1; r < ranks.size(); ++r) total += value(r, i);
    sum.push_back(total);
  }
  std::vector<Tensor> tensors;
  std::vector<Work> works;
  for (int k = 0; k < 4; ++k) {
    tensors.push_back(Tensor::from(own, {kCount}));
    works.push_back(
        ranks.start_all_reduce(tensors.back(), k == 3 ? ReduceOp::mean : ReduceOp::sum));
  }
  for (size_t k = works.size(); k-- > 0;) works[k].wait();
  for (int k = 0; k < 3; ++k)
    EXPECT_EQ(tensors[static_cast<size_t>(k)].to_vector<float>(), sum) << "bit for bit";
  const std::vector<float> mean = tensors[3].to_vector<float>();
  for (size_t i = 0; i < sum.size(); i += 997)
    ASSERT_FLOAT_EQ(mean[i], sum[i] / static_cast<float>(ranks.size()));

  const int64_t part = kCount / ranks.size();
  const Tensor whole = Tensor::from(
      std::vector<float>(own.begin(), own.begin() + part * ranks.size()), {part * ranks.size()});
  const Tensor mine = Tensor::empty({part}, DType::f32);
  ranks.reduce_scatter(whole, mine);
  const auto begin = sum.begin() + part * ranks.rank();
  EXPECT_EQ(mine.to_vector<float>(), std::vector<float>(begin, begin + part));
  EXPECT_EQ(whole.to_vector<float>()[0], own[0]) << "what is scattered stays as it was";
}

TEST(Communicator, GathersScattersAndExchanges) {
  Communicator& ranks = world();
  const int64_t n = 5, p = ranks.size();
  for (const DType dtype : kAll) {
    const Tensor all = Tensor::empty({p * n}, dtype);
    ranks.all_gather(numbers(ranks.rank(), n, dtype), all);
    const Tensor mine = numbers(ranks.rank(), p * n, dtype);
    const Tensor sum = Tensor::empty({n}, dtype), swapped = Tensor::empty({p * n}, dtype);
    ranks.reduce_scatter(mine, sum);
    ranks.all_to_all(mine, swapped);
    const auto gathered = all.to_vector<double>(), part = sum.to_vector<double>(),
               exchanged = swapped.to_vector<double>();
    for (int64_t i = 0; i < n; ++i) {
      double want = 0.0;
      for (int r = 0; r < p; ++r) {
        want += number(r, ranks.rank() * n + i);
        EXPECT_EQ(gathered[static_cast<size_t>(r * n + i)], number(r, i));
        EXPECT_EQ(exchanged[static_cast<size_t>(r * n + i)], number(r, ranks.rank() * n + i));
      }
      EXPECT_EQ(part[static_cast<size_t>(i)], want) << name_of(dtype);
    }
  }
}

TEST(Communicator, BroadcastsFromAnyRoot) {
  Communicator& ranks = world();
  for (int root = 0; root < ranks.size(); ++root) {
    const Tensor x = numbers(ranks.rank(), 11, DType::f32);
    ranks.broadcast(x, root);
    EXPECT_EQ(x.to_vector<float>(), numbers(root, 11, DType::f32).to_vector<float>());
  }
  EXPECT_THROW(ranks.broadcast(Tensor::zeros({1}), ranks.size()), Error);
}

TEST(Communicator, ShiftsRoundTheRingBothWays) {
  Communicator& ranks = world();
  const int p = ranks.size();
  for (const int step : {1, -1, 2}) {
    const Tensor out = Tensor::empty({9});
    Work work = ranks.start_ring_shift(numbers(ranks.rank(), 9, DType::f32), out, step);
    work.wait();
    const int from = ((ranks.rank() - step) % p + p) % p;
    EXPECT_EQ(out.to_vector<float>(), numbers(from, 9, DType::f32).to_vector<float>());
  }
}

TEST(Communicator, MessagesOfATagKeepTheirOrder) {
  Communicator& ranks = world();
  const int next = (ranks.rank() + 1) % ranks.size();
  const int previous = (ranks.rank() + ranks.size() - 1) % ranks.size();
  std::vector<Work> sends;
  for (int i = 0; i < 4; ++i) {
    sends.push_back(ranks.start_send(Tensor::full({1}, 10.0 * ranks.rank() + i), next, i % 2));
  }
  for (const int i : {1, 0, 3, 2}) {  // tag 1 before tag 0: they do not wait for each other
    const Tensor x = Tensor::empty({1});
    ranks.receive(x, previous, i % 2);
    EXPECT_EQ(x.item(), 10.0 * previous + i);
  }
}

TEST(Communicator, ManyOperationsAtOnceEndInAnyOrder) {
  Communicator& ranks = world();
  std::vector<Tensor> tensors;
  std::vector<Work> works;
  for (int i = 0; i < 20; ++i) {
    tensors.push_back(Tensor::full({1000}, i + ranks.rank()));
    works.push_back(ranks.start_all_reduce(tensors.back()));
  }
  for (int i = 19; i >= 0; --i) {
    works[static_cast<size_t>(i)].wait();
    EXPECT_TRUE(works[static_cast<size_t>(i)].done());
    const double want = i * ranks.size() + ranks.size() * (ranks.size() - 1) / 2.0;
    EXPECT_EQ(tensors[static_cast<size_t>(i)].to_vector<float>()[999], want);
  }
}

TEST(Communicator, SplitsIntoGroups) {
  Communicator& ranks = world();
  const auto group = ranks.split(ranks.rank() % 2, -ranks.rank());  // backwards
  const int members = (ranks.size() + 1 - ranks.rank() % 2) / 2;
  EXPECT_EQ(group->size(), members);
  EXPECT_EQ(group->rank(), members - 1 - ranks.rank() / 2);
  double sum = 0.0;
  for (int r = ranks.rank() % 2; r < ranks.size(); r += 2) sum += r;
  EXPECT_EQ(group->all_reduce_number(ranks.rank()), sum);
}

TEST(Communicator, GathersTexts) {
  Communicator& ranks = world();
  const auto texts = ranks.all_gather_text(std::string(static_cast<size_t>(ranks.rank()) * 3, 'x'));
  ASSERT_EQ(texts.size(), static_cast<size_t>(ranks.size()));
  for (size_t r = 0; r < texts.size(); ++r) EXPECT_EQ(texts[r], std::string(r * 3, 'x'));
}

TEST(Communicator, CountsWhatItSends) {
  Communicator& ranks = world();
  const auto group = ranks.split(0, ranks.rank());
  const int64_t p = group->size(), n = 12 * p;
  const Tensor whole = Tensor::zeros({n}), part = Tensor::zeros({n / p});
  group->all_reduce(whole);
  EXPECT_EQ(group->bytes_sent(), 2 * 4 * n * (p - 1) / p);
  group->reduce_scatter(whole, part);
  group->all_gather(part, whole);
  EXPECT_EQ(group->bytes_sent(), 4 * 4 * n * (p - 1) / p);
}

TEST(Communicator, RefusesWhatDoesNotFit) {
  Communicator& ranks = world();
  const Tensor x = Tensor::zeros({4}), wrong = Tensor::zeros({4 * ranks.size() + 1});
  EXPECT_THROW(ranks.all_gather(x, wrong), Error);
  EXPECT_THROW(ranks.reduce_scatter(wrong, x), Error);
  EXPECT_THROW(ranks.send(x, ranks.size()), Error);
  EXPECT_THROW(ranks.send(x, 0, 5000), Error);
}

TEST(Agreement, AllThrowWhatOneDid) {
  Communicator& ranks = world();
  agree(ranks, [] {});
  const int last = ranks.size() - 1;
  const auto message_of = [&](auto fn) {
    try {
      agree(ranks, fn);
    } catch (const RequestError& error) {
      return std::string("request: ") + error.what();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message_of([&] { HEED_CHECK(ranks.rank() != last, "no file"); }),
            fmt::format("rank {}: no file", last));
  EXPECT_EQ(message_of([] { fail_request("a wrong recipe"); }), "request: a wrong recipe");
}

}  // namespace
}  // namespace heed
