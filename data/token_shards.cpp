#include "data/token_shards.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "core/files.h"
#include "core/readable.h"
#include "data/token_folder.h"
#include "data/token_shard.h"

namespace heed::data {
namespace {

std::string tokenizer_of(const std::string& folder) {
  return (std::filesystem::path(folder) / kShardTokenizer).string();
}

void check_tokenizer(const TokenFolder& folder, const Tokenizer& tokenizer,
                     const std::string& digest, const std::string& file,
                     const SourceLocation& where) {
  if (folder.tokenizer == digest) return;
  fail_request(where, fmt::format("the token shards in '{}' were made with another tokenizer ({}, "
                                  "{:.12}...) than '{}' ({} of {}, {:.12}...)",
                                  folder.path, folder.description, folder.tokenizer, file,
                                  tokenizer.type(), grouped(tokenizer.vocab_size()), digest));
}

/// How many tokens of a corpus are trained on, when a fraction is held out.
int64_t kept_tokens(const Tokens& tokens, double held_out) {
  const int64_t size = tokens.size();
  if (held_out == 0) return size;
  const auto kept = static_cast<int64_t>(static_cast<double>(size) * (1 - held_out));
  const std::vector<int64_t> starts = tokens.document_starts(kept, size);
  return starts.empty() ? kept : starts[0];
}

std::vector<TokenCorpus> corpora_of(const TokenShardsOptions& options,
                                    const SourceLocation& where) {
  if (options.folder.empty() == options.corpora.empty()) {
    fail_request(where, "dataset token-shards: wants either a `folder` or `corpora`");
  }
  if (options.corpora.empty()) return {{"", options.folder, 1}};
  std::set<std::string> names;
  for (const TokenCorpus& corpus : options.corpora) {
    if (!names.insert(corpus.name).second) {
      fail_request(where,
                   fmt::format("dataset token-shards: two corpora are called '{}'", corpus.name));
    }
  }
  return options.corpora;
}

std::string describe(const TextDataset& dataset, const std::vector<std::string>& lines) {
  return fmt::format("{} tokens for training and {} held out, in shards{}{}; tokenizer {} of {}",
                     grouped(dataset.train.tokens.size()),
                     grouped(dataset.validation.tokens.size()), lines.size() > 1 ? ": " : " of ",
                     fmt::join(lines, "; "), dataset.tokenizer->type(),
                     grouped(dataset.vocab_size()));
}

}  // namespace

void TokenCorpus::options(Options& o) {
  o.field("name", name, "what metrics call the corpus", {.required = true});
  o.field("folder", folder, "a folder that heed tokenize has made", {.required = true});
  o.field("weight", weight, "share of the training's rows, among the others' weights",
          {.above = 0});
}

void TokenShardsOptions::TokenizerFile::options(Options& o) {
  o.field("file", file,
          "a tokenizer.json that the shards must be of; empty: the one in the (first) folder");
}

void TokenShardsOptions::options(Options& o) {
  o.field("folder", folder, "a folder that heed tokenize has made");
  o.list("corpora", corpora, "in its place: several of them, mixed by weight");
  o.field("validation_folder", validation_folder,
          "a folder of shards to hold out, instead of a fraction of each corpus");
  o.field("validation", validation, "fraction of each corpus held out, at its end; 0 for none",
          {.min = 0, .below = 1});
  o.field("tokenizer", tokenizer, "what the ids mean");
}

std::unique_ptr<TextDataset> open_token_shards(const TokenShardsOptions& options,
                                               const SourceLocation& where) {
  const std::vector<TokenCorpus> corpora = corpora_of(options, where);
  std::vector<TokenFolder> folders;
  for (const TokenCorpus& corpus : corpora) {
    folders.push_back(open_token_folder(expand_path(corpus.folder, where), where));
  }
  auto dataset = std::make_unique<TextDataset>();
  const std::string file = options.tokenizer.file.empty()
                               ? tokenizer_of(folders[0].path)
                               : expand_path(options.tokenizer.file, where);
  dataset->tokenizer = load_tokenizer(file);
  const std::string digest = tokenizer_digest(*dataset->tokenizer);
  Tokens &train = dataset->train.tokens, &held = dataset->validation.tokens;
  train = held = Tokens(dataset->vocab_size());
  const double total =
      std::accumulate(corpora.begin(), corpora.end(), 0.0,
                      [](double sum, const TokenCorpus& corpus) { return sum + corpus.weight; });
  std::vector<std::string> lines;
  for (size_t i = 0; i < corpora.size(); ++i) {
    const TokenFolder& folder = folders[i];
    check_tokenizer(folder, *dataset->tokenizer, digest, file, where);
    const int64_t size = folder.tokens.size(), begin = train.size();
    const int64_t kept =
        options.validation_folder.empty() ? kept_tokens(folder.tokens, options.validation) : size;
    if (kept == 0) {
      fail_request(where, fmt::format("there are no tokens to train on in '{}'", folder.path));
    }
    train.append_part(folder.tokens, 0, kept);
    held.append_part(folder.tokens, kept, size);
    lines.push_back(fmt::format("{} documents, {} of text", grouped(folder.tokens.documents()),
                                format_bytes(folder.text_bytes)));
    if (corpora.size() == 1 && corpora[i].name.empty()) continue;
    dataset->corpora.push_back({corpora[i].name, begin, kept, corpora[i].weight});
    lines.back() = fmt::format("{} {:.3g}% of the rows ({} tokens, {})", corpora[i].name,
                               100 * corpora[i].weight / total, grouped(kept), lines.back());
  }
  if (!options.validation_folder.empty()) {
    const TokenFolder folder =
        open_token_folder(expand_path(options.validation_folder, where), where);
    check_tokenizer(folder, *dataset->tokenizer, digest, file, where);
    held.append_part(folder.tokens, 0, folder.tokens.size());
  }
  dataset->train.documents = train.documents();
  dataset->validation.documents = held.documents();
  dataset->summary = describe(*dataset, lines);
  return dataset;
}

}  // namespace heed::data
