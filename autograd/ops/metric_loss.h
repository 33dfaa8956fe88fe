// Losses of embeddings: similarity and distance between rows. x is [..., D]; the last dimension is
// the vector's. Results are 0-dimensional unless the reduction is none.
#pragma once

#include "autograd/ops/reduction.h"
#include "autograd/tape.h"

namespace heed {

/// x . y / (max(|x|, eps) max(|y|, eps)): [...]. Zero vectors give 0.
Tensor cosine_similarity(const Tensor& x, const Tensor& y, double eps = 1e-8);

/// 1 - cos(x, y) where sign [...] is 1, max(0, cos(x, y) - margin) where it is -1.
Tensor cosine_embedding_loss(const Tensor& x, const Tensor& y, const Tensor& sign,
                             double margin = 0.0, Reduction reduction = Reduction::mean);

/// |x - y + eps| (Euclidean): [...]. The eps keeps the slope finite where x is y, as PyTorch's
/// pairwise_distance.
Tensor distance(const Tensor& x, const Tensor& y, double eps = 1e-6);

/// max(0, |anchor - positive| - |anchor - negative| + margin) (Schroff et al. 2015); log(1 +
/// exp(.)) of the difference without a margin where `soft` (Hermans et al. 2017).
Tensor triplet_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                    double margin = 1.0, bool soft = false, Reduction reduction = Reduction::mean);

/// Triplets mined in the batch (Hermans et al. 2017, "batch hard"): for each row of x [N, D] the
/// farthest of its label and the nearest of another; labels [N] (i64, i32). Rows that lack one of
/// the two do not count; without any triplet the loss is 0 with a zero gradient.
Tensor batch_hard_triplet_loss(const Tensor& x, const Tensor& labels, double margin = 1.0,
                               bool soft = false);

/// InfoNCE (van den Oord et al. 2018): cross-entropy of cos(x_i, y_j) / temperature against j = i,
/// mean over i; x, y [N, D]. `symmetric` averages it with that of y against x (CLIP, Radford et al.
/// 2021).
Tensor info_nce_loss(const Tensor& x, const Tensor& y, double temperature = 0.07,
                     bool symmetric = true);

/// Logits of episodes (Snell et al., arXiv 1703.05175, eq. 1 and 2): x [E, N, S + Q, D] are the
/// embeddings of N classes' S = `shots` examples, then of their Q queries; a class's prototype is
/// the mean of its shots. [E, N Q, N], queries class after class: -|query - prototype|^2, or where
/// `cosine` their cosine. An Error unless 1 <= shots < S + Q.
Tensor prototype_logits(const Tensor& x, int64_t shots, bool cosine = false);

/// Cross-entropy of scale * prototype_logits() against the queries' own classes, mean over queries.
Tensor prototype_loss(const Tensor& x, int64_t shots, bool cosine = false, double scale = 1.0);

}  // namespace heed
