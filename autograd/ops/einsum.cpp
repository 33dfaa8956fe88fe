#include "autograd/ops/einsum.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"

namespace heed {
namespace {

struct Term {
  std::string labels;  // one for each dimension of x
  Tensor x;
};

bool has(const std::string& labels, char label) { return labels.find(label) != std::string::npos; }

template <class Keep>
std::string filter(const std::string& labels, Keep&& keep) {
  std::string kept;
  std::copy_if(labels.begin(), labels.end(), std::back_inserter(kept), keep);
  return kept;
}

// Letters that the equation does not use, for dimensions without one.
std::string free_letters(const std::string& equation, size_t count) {
  std::string letters;
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    if (letters.size() < count && !has(equation, c)) letters.push_back(c);
  }
  HEED_CHECK(letters.size() == count, "einsum: '{}' leaves no letters for its ...", equation);
  return letters;
}

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

Equation parse(const std::string& text) {
  const std::string equation = filter(text, [](char c) { return c != ' '; });
  const size_t arrow = equation.find("->");
  HEED_CHECK(arrow != std::string::npos, "einsum: '{}' has no '->'", text);
  Equation parsed{{""}, equation.substr(arrow + 2)};
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') {
      parsed.operands.emplace_back();
    } else {
      parsed.operands.back().push_back(c);
    }
  }
  const auto check = [&text](const std::string& labels) {
    for (const char c : labels) {
      HEED_CHECK(std::isalpha(static_cast<unsigned char>(c)), "einsum: '{}' in '{}' is no label", c,
                 text);
      HEED_CHECK(std::count(labels.begin(), labels.end(), c) == 1,
                 "einsum: label '{}' stands twice in '{}' of '{}'", c, labels, text);
    }
  };
  for (const std::string& labels : parsed.operands) check(labels);
  check(parsed.result);
  for (const char c : parsed.result) {
    HEED_CHECK(std::any_of(parsed.operands.begin(), parsed.operands.end(),
                           [c](const std::string& labels) { return has(labels, c); }),
               "einsum: the result's label '{}' is in no operand of '{}'", c, text);
  }
  return parsed;
}

// The equation and its operands with letters in the place of "...". Of dimensions that broadcast,
// those of extent 1 are taken away.
std::pair<std::string, std::vector<Tensor>> spelled_out(const std::string& text,
                                                        const std::vector<Tensor>& operands) {
  const std::string dots = "...", equation = filter(text, [](char c) { return c != ' '; });
  const size_t arrow = equation.find("->");
  if (equation.find(dots) == std::string::npos || arrow == std::string::npos) {
    return {equation, operands};
  }
  std::vector<std::string> labels(1);
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') labels.emplace_back();
    if (c != ',') labels.back().push_back(c);
  }
  HEED_CHECK(labels.size() == operands.size(), "einsum: '{}' for {} operands", text,
             operands.size());
  size_t most = 0;
  std::vector<size_t> hidden;  // dimensions behind each operand's "..."
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool open = labels[i].find(dots) != std::string::npos;
    const int64_t named = static_cast<int64_t>(labels[i].size()) - (open ? 3 : 0);
    HEED_CHECK(!open || operands[i].rank() >= named, "einsum: '{}' of '{}' beside an operand {}",
               labels[i], text, operands[i]);
    hidden.push_back(open ? static_cast<size_t>(operands[i].rank() - named) : 0);
    most = std::max(most, hidden.back());
  }
  const std::string letters = free_letters(equation, most);
  std::map<char, int64_t> extents;
  const auto first = [&](size_t i) { return static_cast<int>(labels[i].find(dots)); };
  const auto own = [&](size_t i) { return letters.substr(most - hidden[i]); };
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t k = 0; k < hidden[i]; ++k) {
      int64_t& extent = extents.emplace(own(i)[k], 1).first->second;
      extent = std::max(extent, operands[i].size(first(i) + static_cast<int>(k)));
    }
  }
  std::string spelled;
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < labels.size(); ++i) {
    Tensor x = operands[i];
    std::string term = labels[i];
    if (first(i) >= 0) {
      std::string kept = own(i);
      for (size_t k = hidden[i]; k-- > 0;) {
        const int dim = first(i) + static_cast<int>(k);
        if (x.size(dim) != 1 || extents[kept[k]] == 1) continue;
        x = squeeze(x, dim);
        kept.erase(k, 1);
      }
      term.replace(static_cast<size_t>(first(i)), 3, kept);
    }
    spelled += (i == 0 ? "" : ",") + term;
    tensors.push_back(x);
  }
  std::string result = equation.substr(arrow);
  if (const size_t at = result.find(dots); at != std::string::npos) result.replace(at, 3, letters);
  return {spelled + result, tensors};
}

void check_extents(const std::string& text, const std::vector<Term>& terms) {
  std::map<char, int64_t> extents;
  for (const Term& term : terms) {
    HEED_CHECK(term.x.rank() == static_cast<int>(term.labels.size()),
               "einsum: '{}' of '{}' beside an operand {}", term.labels, text, term.x);
    for (size_t d = 0; d < term.labels.size(); ++d) {
      const int64_t extent = term.x.size(static_cast<int>(d));
      const auto [known, fresh] = extents.emplace(term.labels[d], extent);
      HEED_CHECK(fresh || known->second == extent, "einsum: label '{}' of '{}' is both {} and {}",
                 term.labels[d], text, known->second, extent);
    }
  }
}

Term arranged(const Term& term, const std::string& order) {
  if (term.labels == order) return term;
  std::vector<int> dims;
  for (const char label : order) dims.push_back(static_cast<int>(term.labels.find(label)));
  return {order, permute(term.x, dims)};
}

// Sums over the labels that nobody needs any more.
Term summed(const Term& term, const std::string& needed) {
  std::vector<int> dims;
  for (size_t d = 0; d < term.labels.size(); ++d) {
    if (!has(needed, term.labels[d])) dims.push_back(static_cast<int>(d));
  }
  if (dims.empty()) return term;
  return {filter(term.labels, [&](char c) { return has(needed, c); }), sum(term.x, dims)};
}

Shape extents_of(const Term& term, const std::string& labels) {
  Shape shape;
  for (const char label : labels) {
    shape.push_back(term.x.size(static_cast<int>(term.labels.find(label))));
  }
  return shape;
}

Shape joined(std::initializer_list<Shape> parts) {
  Shape shape;
  for (const Shape& part : parts) {
    for (const int64_t extent : part) shape.push_back(extent);
  }
  return shape;
}

Shape ones(size_t count) { return Shape(std::vector<int64_t>(count, 1)); }

Term contracted(const Term& left, const Term& right, const std::string& needed) {
  const Term a = summed(left, needed + right.labels), b = summed(right, needed + left.labels);
  const auto shared = [&](char c) { return has(a.labels, c) && has(b.labels, c); };
  const std::string batch = filter(a.labels, [&](char c) { return shared(c) && has(needed, c); });
  const std::string inner = filter(a.labels, [&](char c) { return shared(c) && !has(needed, c); });
  const std::string rows = filter(a.labels, [&](char c) { return !has(b.labels, c); });
  const std::string columns = filter(b.labels, [&](char c) { return !has(a.labels, c); });
  const Shape batches = extents_of(a, batch), m = extents_of(a, rows), n = extents_of(b, columns);
  const Term x = arranged(a, batch + rows + inner), y = arranged(b, batch + inner + columns);
  const std::string labels = batch + rows + columns;
  if (inner.empty()) {
    return {labels, mul(reshape(x.x, joined({batches, m, ones(columns.size())})),
                        reshape(y.x, joined({batches, ones(rows.size()), n})))};
  }
  const int64_t k = extents_of(a, inner).numel();
  const Tensor product = matmul(reshape(x.x, joined({batches, {m.numel(), k}})),
                                reshape(y.x, joined({batches, {k, n.numel()}})));
  return {labels, reshape(product, joined({batches, m, n}))};
}

}  // namespace

Tensor einsum(const std::string& text, const std::vector<Tensor>& given) {
  const auto [equation, operands] = spelled_out(text, given);
  const Equation parsed = parse(equation);
  HEED_CHECK(parsed.operands.size() == operands.size(), "einsum: '{}' for {} operands", equation,
             operands.size());
  std::vector<Term> terms;
  for (size_t i = 0; i < operands.size(); ++i) terms.push_back({parsed.operands[i], operands[i]});
  check_extents(equation, terms);
  Term result = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    std::string needed = parsed.result;
    for (size_t later = i + 1; later < terms.size(); ++later) needed += terms[later].labels;
    result = contracted(result, terms[i], needed);
  }
  return arranged(summed(result, parsed.result), parsed.result).x;
}

}  // namespace heed
