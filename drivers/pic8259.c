/*
 * Physical 8259 pair: see pic8259.h. Called once by boot/main.c.
 */
#include "drivers/pic8259.h"
#include "arch/x86_64/asm.h"
#include "arch/x86_64/percpu.h"

enum { MASTER = 0x20, SLAVE = 0xa0, COMMAND = 0, DATA = 1 };
enum { ICW1_INIT_ICW4 = 0x11, ICW3_SLAVE_ON_2 = 0x04, ICW3_SLAVE_ID = 2, ICW4_8086 = 0x01 };

void pic8259_silence(void)
{
	out8(MASTER + DATA, 0xff);
	out8(SLAVE + DATA, 0xff);
	out8(MASTER + COMMAND, ICW1_INIT_ICW4);
	out8(SLAVE + COMMAND, ICW1_INIT_ICW4);
	out8(MASTER + DATA, VECTOR_PIC_FIRST);
	out8(SLAVE + DATA, VECTOR_PIC_FIRST + 8);
	out8(MASTER + DATA, ICW3_SLAVE_ON_2);
	out8(SLAVE + DATA, ICW3_SLAVE_ID);
	out8(MASTER + DATA, ICW4_8086);
	out8(SLAVE + DATA, ICW4_8086);
	out8(MASTER + DATA, 0xff);
	out8(SLAVE + DATA, 0xff);
}
