#include "distributed/mpi_plain.h"

#include <mpi.h>

#include "distributed/mpi_runtime.h"

namespace heed {

void plain_mpi(Collective what, const Tensor& tensor, const Tensor& out) {
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  float* data = tensor.data<float>();
  float* result = out.data<float>();
  const int count = static_cast<int>(tensor.numel());
  const MPI_Comm all = MPI_COMM_WORLD;
  int code = MPI_SUCCESS;
  switch (what) {
    case Collective::all_reduce:
      code = MPI_Allreduce(MPI_IN_PLACE, data, count, MPI_FLOAT, MPI_SUM, all);
      break;
    case Collective::all_gather:
      code = MPI_Allgather(data, count, MPI_FLOAT, result, count, MPI_FLOAT, all);
      break;
    case Collective::reduce_scatter:
      code = MPI_Reduce_scatter_block(data, result, count / size, MPI_FLOAT, MPI_SUM, all);
      break;
    case Collective::broadcast:
      code = MPI_Bcast(data, count, MPI_FLOAT, 0, all);
      break;
    case Collective::all_to_all:
      code = MPI_Alltoall(data, count / size, MPI_FLOAT, result, count / size, MPI_FLOAT, all);
      break;
    case Collective::ring_shift:
      code = MPI_Sendrecv(data, count, MPI_FLOAT, (rank + 1) % size, 0, result, count, MPI_FLOAT,
                          (rank + size - 1) % size, 0, all, MPI_STATUS_IGNORE);
      break;
    case Collective::ping_pong:
      if (rank == 0) {
        code = MPI_Send(data, count, MPI_FLOAT, 1, 0, all);
        if (code == MPI_SUCCESS) {
          code = MPI_Recv(data, count, MPI_FLOAT, 1, 0, all, MPI_STATUS_IGNORE);
        }
      } else if (rank == 1) {
        code = MPI_Recv(data, count, MPI_FLOAT, 0, 0, all, MPI_STATUS_IGNORE);
        if (code == MPI_SUCCESS) code = MPI_Send(data, count, MPI_FLOAT, 0, 0, all);
      }
      break;
  }
  check_mpi(code, "plain MPI");
}

}  // namespace heed
