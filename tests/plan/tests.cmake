slm_test(plan_test
  SOURCES plan/fuse_gate_test.cc plan/fuse_matmul_test.cc plan/fuse_mlp_test.cc
          plan/narrow_attention_test.cc plan/narrow_scales_test.cc
          plan/next_weights_test.cc plan/rows_test.cc plan/select_rows_test.cc
          plan/work_test.cc
  LINKS slm_plan)
