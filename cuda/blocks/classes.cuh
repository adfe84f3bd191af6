// Labels of classes as kernels hold them: whole numbers as floats. See classes.cu.
#ifndef STF_BLOCKS_CLASSES
#define STF_BLOCKS_CLASSES

// The label of a pixel without a class; above that of every class.
#define STF_NO_CLASS 65535.0f

#endif
