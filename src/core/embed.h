#ifndef CAPI_EMBED_H
#define CAPI_EMBED_H

/* Takes a file into the program as it is: NAME_begin to NAME_end, a NUL behind it. The compiler
 * never sees it; the Makefile says which object depends on which file. */
#define CAPI_EMBED(name, file)                                                                     \
    __asm__(".pushsection .rodata\n" #name "_begin: .incbin \"" file "\"\n" #name                  \
            "_end: .byte 0\n.popsection\n");                                                       \
    extern const char name##_begin[] __attribute__((visibility("hidden")));                        \
    extern const char name##_end[] __attribute__((visibility("hidden")))

#endif
