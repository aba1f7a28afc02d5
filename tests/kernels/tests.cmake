slm_test(kernels_activation_test
  SOURCES kernels/activation_test.cc LINKS slm_kernels)
slm_test(kernels_gemm_test
  SOURCES kernels/convert_test.cc kernels/gemm_test.cc
  LINKS slm_kernels)
slm_test(kernels_attention_test
  SOURCES kernels/attention_test.cc kernels/rotary_test.cc LINKS slm_kernels)
slm_test(kernels_norm_softmax_test
  SOURCES kernels/norm_softmax_test.cc LINKS slm_kernels)
