/*
 * Zydis to struct decoded; see decode.h. What an instruction does comes from one table by mnemonic;
 * everything else (widths, registers, addresses) from Zydis's operands. No state.
 */
#include "hv/decode.h"
#include "hv/emulate_alu.h"
#include "hv/lib/string.h"
#include "hv/vcpu.h"
#include <Zydis/Decoder.h>
#include <Zydis/Register.h>

/* A mnemonic of the repertoire: what it is when its first operand is memory, or a later one. */
struct row {
	uint8_t first, later; /* enum decode_op; OP_UNKNOWN: no such form */
	uint8_t arg;
	uint8_t flags;
};

/* clang-format off */
#define ALU(name, op)	 [ZYDIS_MNEMONIC_##name] = {OP_ALU_STORE, OP_ALU_LOAD, ALU_##op, 0}
#define BITOP(name)	 [ZYDIS_MNEMONIC_##name] = {OP_BIT, OP_UNKNOWN, ALU_##name, 0}
#define STRING1(name, op) [ZYDIS_MNEMONIC_##name] = {OP_STRING, OP_STRING, STRING_##op, 0}
#define STRING4(op)	 STRING1(op##B, op), STRING1(op##W, op), STRING1(op##D, op), \
			 STRING1(op##Q, op)
#define STRING3(op)	 STRING1(op##B, op), STRING1(op##W, op), STRING1(op##D, op)
#define SIMD(name, how, flag) \
	[ZYDIS_MNEMONIC_##name] = {OP_SIMD_STORE, OP_SIMD_LOAD, SIMD_##how, flag}
#define SIMD2(name, how, flag) SIMD(name, how, flag), SIMD(V##name, how, flag)

static const struct row table[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[ZYDIS_MNEMONIC_MOV]	= {OP_STORE, OP_LOAD, 0, 0},
	[ZYDIS_MNEMONIC_MOVNTI] = {OP_STORE, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_MOVBE]	= {OP_STORE, OP_LOAD, 0, DECODE_SWAP},
	[ZYDIS_MNEMONIC_MOVZX]	= {OP_UNKNOWN, OP_LOAD, 0, 0},
	[ZYDIS_MNEMONIC_MOVSX]	= {OP_UNKNOWN, OP_LOAD, 0, DECODE_SIGN},
	[ZYDIS_MNEMONIC_MOVSXD] = {OP_UNKNOWN, OP_LOAD, 0, DECODE_SIGN},
	ALU(ADD, ADD), ALU(OR, OR), ALU(ADC, ADC), ALU(SBB, SBB), ALU(AND, AND), ALU(SUB, SUB),
	ALU(XOR, XOR), ALU(CMP, CMP), ALU(TEST, TEST),
	ALU(INC, INC), ALU(DEC, DEC), ALU(NOT, NOT), ALU(NEG, NEG),
	BITOP(BT), BITOP(BTS), BITOP(BTR), BITOP(BTC),
	[ZYDIS_MNEMONIC_XCHG]	    = {OP_XCHG, OP_XCHG, 0, 0},
	[ZYDIS_MNEMONIC_XADD]	    = {OP_XADD, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_CMPXCHG]    = {OP_CMPXCHG, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_CMPXCHG8B]  = {OP_CMPXCHG_WIDE, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_CMPXCHG16B] = {OP_CMPXCHG_WIDE, OP_UNKNOWN, 0, DECODE_ALIGNED},
	[ZYDIS_MNEMONIC_PUSH] = {OP_PUSH, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_POP]  = {OP_POP, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_CALL] = {OP_CALL, OP_UNKNOWN, 0, 0},
	[ZYDIS_MNEMONIC_JMP]  = {OP_JMP, OP_UNKNOWN, 0, 0},
	STRING4(MOVS), STRING4(STOS), STRING4(LODS), STRING4(CMPS), STRING4(SCAS),
	STRING3(INS), STRING3(OUTS),
	SIMD2(MOVUPS, WHOLE, 0), SIMD2(MOVUPD, WHOLE, 0),
	SIMD2(MOVDQU, WHOLE, 0), SIMD2(LDDQU, WHOLE, 0),
	SIMD2(MOVAPS, WHOLE, DECODE_ALIGNED), SIMD2(MOVAPD, WHOLE, DECODE_ALIGNED),
	SIMD2(MOVDQA, WHOLE, DECODE_ALIGNED), SIMD2(MOVNTDQ, WHOLE, DECODE_ALIGNED),
	SIMD2(MOVNTPS, WHOLE, DECODE_ALIGNED), SIMD2(MOVNTPD, WHOLE, DECODE_ALIGNED),
	SIMD2(MOVNTDQA, WHOLE, DECODE_ALIGNED),
	SIMD2(MOVD, WHOLE, 0), SIMD2(MOVQ, WHOLE, 0), SIMD(MOVNTQ, WHOLE, 0),
	SIMD2(MOVSS, WHOLE, 0), SIMD(VMOVSD, WHOLE, 0),
	SIMD2(MOVLPS, LOW, 0), SIMD2(MOVLPD, LOW, 0),
	SIMD2(MOVHPS, HIGH, 0), SIMD2(MOVHPD, HIGH, 0),
};
/* clang-format on */

static const struct row movsd_simd = {OP_SIMD_STORE, OP_SIMD_LOAD, SIMD_WHOLE, 0};

static struct row row_of(const ZydisDecodedInstruction *in)
{
	bool string_opcode = in->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;

	if (in->mnemonic == ZYDIS_MNEMONIC_MOVSD && !string_opcode) {
		return movsd_simd;
	}
	if (in->mnemonic == ZYDIS_MNEMONIC_CMPSD && !string_opcode) {
		return (struct row){OP_UNKNOWN, OP_UNKNOWN, 0, 0};
	}
	return table[in->mnemonic];
}

static void decoder_init(ZydisDecoder *d, unsigned bits)
{
	if (bits == 64) {
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	} else if (bits == 32) {
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	} else {
		ZydisDecoderInit(d, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	}
}

static enum decode_status zydis_decode(const uint8_t *bytes, unsigned count, unsigned bits,
				       ZydisDecoder *d, ZydisDecoderContext *context,
				       ZydisDecodedInstruction *in)
{
	ZyanStatus status;

	decoder_init(d, bits);
	status = ZydisDecoderDecodeInstruction(d, context, bytes, count, in);
	if (ZYAN_SUCCESS(status)) {
		return DECODE_OK;
	}
	if (status == ZYDIS_STATUS_NO_MORE_DATA) {
		return count >= DECODE_BYTES_MAX ? DECODE_TOO_LONG : DECODE_MORE;
	}
	return status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? DECODE_TOO_LONG : DECODE_INVALID;
}

/* The number of a base or index register. */
static uint8_t address_reg(ZydisRegister reg)
{
	if (reg == ZYDIS_REGISTER_NONE) {
		return DECODE_NO_REG;
	}
	if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) {
		return DECODE_BASE_RIP;
	}
	return (uint8_t)ZydisRegisterGetId(reg);
}

/* False: an address form that the emulator does not have (VSIB, MIB). */
static bool take_memory(struct decoded *out, const ZydisDecodedOperand *op)
{
	ZydisRegisterClass index = ZydisRegisterGetClass(op->mem.index);

	if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
	    (op->mem.index != ZYDIS_REGISTER_NONE && index != ZYDIS_REGCLASS_GPR64 &&
	     index != ZYDIS_REGCLASS_GPR32 && index != ZYDIS_REGCLASS_GPR16)) {
		return false;
	}
	out->base = address_reg(op->mem.base);
	out->index = address_reg(op->mem.index);
	out->scale = op->mem.scale ? (uint8_t)__builtin_ctz(op->mem.scale) : 0;
	out->disp = op->mem.disp.has_displacement ? op->mem.disp.value : 0;
	out->segment = (uint8_t)ZydisRegisterGetId(op->mem.segment);
	out->size = (uint8_t)(op->size / 8);
	return op->size && op->size <= 256 && !(op->size & (op->size - 1));
}

/* The register operand; false when the shape cannot have one of this class. */
static bool take_register(struct decoded *out, ZydisRegister reg)
{
	bool simd = out->op == OP_SIMD_LOAD || out->op == OP_SIMD_STORE;

	out->reg = (uint8_t)ZydisRegisterGetId(reg);
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		/* AL..BL, AH..BH, SPL..R15B: the second four have no number of their own */
		out->reg_size = 1;
		if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
			out->reg = (uint8_t)(reg - ZYDIS_REGISTER_AH);
			out->reg_shift = 8;
		} else if (reg >= ZYDIS_REGISTER_SPL) {
			out->reg = (uint8_t)(reg - ZYDIS_REGISTER_SPL + RSP);
		} else {
			out->reg = (uint8_t)(reg - ZYDIS_REGISTER_AL);
		}
		return !simd;
	case ZYDIS_REGCLASS_GPR16: out->reg_size = 2; return !simd;
	case ZYDIS_REGCLASS_GPR32: out->reg_size = 4; return !simd;
	case ZYDIS_REGCLASS_GPR64: out->reg_size = 8; return !simd;
	case ZYDIS_REGCLASS_MMX: out->arg = SIMD_MMX; return simd;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM: return simd;
	default: return false;
	}
}

/* The operands of a form with explicit operands, the one at `at` being memory. */
static bool take_operands(struct decoded *out, const ZydisDecodedInstruction *in,
			  const ZydisDecodedOperand *op, unsigned at)
{
	const ZydisDecodedOperand *other = &op[at ? 0 : 1];

	if (!take_memory(out, &op[at])) {
		return false;
	}
	if (in->operand_count_visible < 2) {
		out->flags |= DECODE_SOURCE_IMM;
		return true;
	}
	if (at == 2) {
		out->reg2 = (uint8_t)ZydisRegisterGetId(op[1].reg.value);
	}
	if (other->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
		out->imm = (int32_t)other->imm.value.s;
		out->flags |= DECODE_SOURCE_IMM;
		return true;
	}
	return other->type == ZYDIS_OPERAND_TYPE_REGISTER && take_register(out, other->reg.value);
}

static unsigned find_memory(const ZydisDecodedOperand *op, unsigned count)
{
	unsigned i = 0;

	while (i < count && op[i].type != ZYDIS_OPERAND_TYPE_MEMORY) {
		i++;
	}
	return i;
}

static bool take_explicit(struct decoded *out, const ZydisDecoder *d, ZydisDecoderContext *context,
			  const ZydisDecodedInstruction *in, struct row row)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT_VISIBLE];
	unsigned count = in->operand_count_visible, at;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeOperands(d, context, in, op, (ZyanU8)count))) {
		return false;
	}
	at = find_memory(op, count);
	if (at == count) {
		/* PUSH RAX and its like do touch memory: their stack is not RAM */
		out->op = row.first == OP_PUSH || row.first == OP_POP || row.first == OP_CALL
				  ? OP_UNKNOWN
				  : OP_NO_MEMORY;
		return true;
	}
	if (in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) {
		return false;
	}
	out->op = at ? row.later : row.first;
	return take_operands(out, in, op, at);
}

/*
 * Strings have hidden operands only: the source segment is the last override before the opcode, and
 * either of F2 and F3 repeats those that do not compare.
 */
static void take_string(struct decoded *out, const ZydisDecodedInstruction *in)
{
	static const uint8_t override[] = {[SEG_ES] = 0x26, [SEG_CS] = 0x2e, [SEG_SS] = 0x36,
					   [SEG_DS] = 0x3e, [SEG_FS] = 0x64, [SEG_GS] = 0x65};

	out->op = OP_STRING;
	out->size = (uint8_t)(in->operand_width / 8);
	out->segment = SEG_DS;
	if ((out->arg == STRING_INS || out->arg == STRING_OUTS) && out->size == 8) {
		out->size = 4; /* REX.W has no meaning here */
	}
	for (unsigned i = 0; i < in->raw.prefix_count; i++) {
		uint8_t value = in->raw.prefixes[i].value;

		for (unsigned s = 0; s < ARRAY_SIZE(override); s++) {
			if (value == override[s] && (out->bits != 64 || s >= SEG_FS)) {
				out->segment = (uint8_t)s;
			}
		}
		if (value == 0xf2 || value == 0xf3) {
			out->flags &= (uint8_t) ~(DECODE_REP | DECODE_REPNE);
			out->flags |= value == 0xf3 ? DECODE_REP : DECODE_REPNE;
		}
	}
}

/* The groups that the instruction reads beyond RIP, RFLAGS, CR and, outside 64-bit code, CS_SS. */
static uint16_t groups_of(const struct decoded *d)
{
	bool stack = d->op == OP_PUSH || d->op == OP_POP || d->op == OP_CALL;
	uint16_t groups = 0;

	if (stack || d->reg == RSP || d->base == RSP || d->index == RSP) {
		groups |= GROUP_RSP;
	}
	if (d->bits == 64 ? d->segment >= SEG_FS
			  : d->op == OP_STRING || (d->segment != SEG_CS && d->segment != SEG_SS)) {
		groups |= GROUP_SEG;
	}
	return groups;
}

static uint8_t plain_of(const struct decoded *d)
{
	if (d->bits != 64 || d->groups || d->flags & DECODE_SWAP) {
		return PLAIN_NOT;
	}
	return d->op == OP_LOAD ? PLAIN_LOAD : d->op == OP_STORE ? PLAIN_STORE : PLAIN_NOT;
}

static void remember_bytes(struct decoded *out, const uint8_t *bytes)
{
	memset(out->mask, 0xff, out->len);
	memcpy(out->word, bytes, out->len);
}

enum decode_status decode(const uint8_t *bytes, unsigned count, unsigned bits, struct decoded *out)
{
	ZydisDecoder d;
	ZydisDecoderContext context;
	ZydisDecodedInstruction in;
	enum decode_status status = zydis_decode(bytes, count, bits, &d, &context, &in);
	struct row row;

	if (status != DECODE_OK) {
		return status;
	}
	row = row_of(&in);
	*out = (struct decoded){
		.bits = (uint8_t)bits,
		.len = in.length,
		.arg = row.arg,
		.flags = row.flags,
		.base = DECODE_NO_REG,
		.index = DECODE_NO_REG,
		.reg = DECODE_NO_REG,
		.segment = SEG_DS,
		.address_size = (uint8_t)(in.address_width / 8),
	};
	remember_bytes(out, bytes);
	if (in.attributes & ZYDIS_ATTRIB_HAS_VEX) {
		out->flags |= DECODE_VEX;
	}
	if (row.first == OP_STRING) {
		take_string(out, &in);
	} else if ((row.first == OP_UNKNOWN && row.later == OP_UNKNOWN) ||
		   !take_explicit(out, &d, &context, &in, row)) {
		out->op = OP_UNKNOWN;
	}
	out->groups = groups_of(out);
	out->plain = plain_of(out);
	return DECODE_OK;
}
