/*
 * The machine's 8259 pair, which Mullion only silences (Intel 8259A datasheet).
 */
#pragma once

/* Remapped to VECTOR_PIC_FIRST, so that a spurious interrupt hits no exception, and all masked. */
void pic8259_silence(void);
