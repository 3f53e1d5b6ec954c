/*
 * From instruction bytes to a compact form that emulate.c can execute: a thin layer over Zydis.
 *
 * A Zydis decode costs some 1400 instructions, so what it found is kept per vCPU in a small cache
 * of compact forms. An entry is used only if the bytes that were just fetched from guest memory are
 * those it was made from, in the same mode; so the guest may change its code at will. Called by the
 * emulator alone; a cache belongs to its vCPU.
 */
#pragma once

#include "hv/types.h"

enum { DECODE_BYTES_MAX = 15, DECODE_WORDS = 16 /* bytes that are compared */ };

/* Shapes of instructions: what the emulator does, whatever the widths and registers are. */
enum decode_op {
	OP_UNKNOWN,   /* valid, but not in the repertoire */
	OP_NO_MEMORY, /* in the repertoire, but this form touches no memory */
	OP_LOAD,      /* reg = mem, zero- or sign-extended */
	OP_STORE,     /* mem = source */
	OP_ALU_LOAD,  /* reg = reg OP mem, arg: enum alu_op */
	OP_ALU_STORE, /* mem = mem OP source */
	OP_XCHG,
	OP_XADD,
	OP_CMPXCHG,
	OP_CMPXCHG_WIDE, /* cmpxchg8b, cmpxchg16b */
	OP_BIT,		 /* arg: enum alu_op */
	OP_PUSH,
	OP_POP,
	OP_CALL,
	OP_JMP,
	OP_SIMD_LOAD, /* arg: enum decode_simd */
	OP_SIMD_STORE,
	OP_STRING, /* arg: enum decode_string */
};

enum decode_string {
	STRING_MOVS,
	STRING_STOS,
	STRING_LODS,
	STRING_CMPS,
	STRING_SCAS,
	STRING_INS,
	STRING_OUTS
};

/* How an MMX, SSE or AVX move treats memory and the register; `size` bytes are moved. */
enum decode_simd {
	SIMD_WHOLE, /* the low bytes of the register; a load clears the rest up to 128 bits */
	SIMD_LOW,   /* the low 8 bytes; a load keeps (VEX: takes from reg2) the high ones */
	SIMD_HIGH,  /* the high 8 bytes of 16; a load keeps (VEX: takes from reg2) the low ones */
	SIMD_MMX,   /* an MMX register */
};

enum decode_flag {
	DECODE_SOURCE_IMM = BIT(0), /* the source is imm, else reg */
	DECODE_SIGN = BIT(1),	    /* OP_LOAD sign-extends */
	DECODE_SWAP = BIT(2),	    /* MOVBE */
	DECODE_REP = BIT(3),	    /* F3: REP, REPE */
	DECODE_REPNE = BIT(4),	    /* F2 */
	DECODE_ALIGNED = BIT(5),    /* #GP(0) unless the operand is aligned */
	DECODE_VEX = BIT(6),	    /* clears the register above what it writes */
};

/* For emulate_plain.c: a load or store in 64-bit code that needs no register group to be read. */
enum decode_plain { PLAIN_NOT, PLAIN_LOAD, PLAIN_STORE };

enum { DECODE_NO_REG = 0xff, DECODE_BASE_RIP = 0x10 };

/* Segment registers in the order of their encoding. */
enum decode_segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

/* One decoded instruction; 64 bytes, a cache line. */
struct decoded {
	uint64_t word[2]; /* the bytes it was made from, zero beyond len */
	uint64_t mask[2]; /* which bytes those are */
	int64_t disp;
	int32_t imm;
	uint16_t groups; /* register groups that it reads beyond those of every instruction */
	uint8_t bits;	 /* of the mode: 16, 32, 64; 0: empty cache entry */
	uint8_t len;
	uint8_t op; /* enum decode_op */
	uint8_t arg;
	uint8_t flags; /* enum decode_flag */
	uint8_t size;  /* bytes of the memory operand */
	uint8_t reg;
	uint8_t reg_shift;	    /* 8 for AH, CH, DH, BH */
	uint8_t reg_size;	    /* bytes, differs from size where a load extends */
	uint8_t reg2;		    /* VEX: second source */
	uint8_t base, index, scale; /* scale: a shift count */
	uint8_t segment;	    /* enum decode_segment: override or default */
	uint8_t address_size;
	uint8_t plain; /* enum decode_plain */
};

enum { DECODE_CACHE_SLOTS = 64 };

/* All zero is an empty cache. */
struct decode_cache {
	struct decoded slot[DECODE_CACHE_SLOTS];
};

/* Are these DECODE_WORDS bytes the instruction that was decoded, and whatever follows it? */
static inline bool decode_same(const struct decoded *d, const uint8_t *bytes)
{
	uint64_t word[2];

	__builtin_memcpy(word, bytes, sizeof(word));
	return !(((word[0] ^ d->word[0]) & d->mask[0]) | ((word[1] ^ d->word[1]) & d->mask[1]));
}

enum decode_status {
	DECODE_OK,	 /* also for OP_UNKNOWN */
	DECODE_MORE,	 /* the instruction goes on after `count` bytes */
	DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
	DECODE_INVALID,	 /* #UD, or newer than the decoder */
};

/* Decodes the instruction at bytes[0 .. count) for code of 16, 32 or 64 bits. */
enum decode_status decode(const uint8_t *bytes, unsigned count, unsigned bits, struct decoded *out);
