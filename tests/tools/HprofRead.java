/*
 * Reads a heap dump with VisualVM's own heap library, and prints what that says:
 *
 *	total COUNT BYTES
 *	static CLASS.FIELD ID
 *	thread GOID FRAME...		the innermost first
 *	local GOID FRAME-INDEX ID
 *	object ID BYTES RETAINED SUM CLASS	SUM of the ids of what it refers to
 */
import java.io.File;
import java.io.PrintStream;
import java.io.BufferedOutputStream;
import java.util.List;
import org.graalvm.visualvm.lib.jfluid.heap.*;

public class HprofRead {
    static long id(Instance i) {
        return i == null ? 0 : i.getInstanceId();
    }

    static long references(Instance i) {
        long sum = 0;
        if (i instanceof ObjectArrayInstance)
            for (Object v : ((ObjectArrayInstance) i).getValues())
                sum += id((Instance) v);
        else if (!(i instanceof PrimitiveArrayInstance))
            for (Object v : i.getFieldValues())
                if (v instanceof ObjectFieldValue)
                    sum += id(((ObjectFieldValue) v).getInstance());
        return sum;
    }

    static Object goid(ThreadObjectGCRoot t) {
        return ((GCRoot) t).getInstance().getValueOfField("tid");
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16));
        Heap heap = HeapFactory.createHeap(new File(args[0]));
        HeapSummary s = heap.getSummary();

        out.println("total " + s.getTotalLiveInstances() + " " + s.getTotalLiveBytes());
        for (Object o : heap.getAllClasses()) {
            JavaClass c = (JavaClass) o;
            for (Object v : c.getStaticFieldValues())
                if (v instanceof ObjectFieldValue)
                    out.println("static " + c.getName() + "." + ((FieldValue) v).getField().getName() + " "
                                + id(((ObjectFieldValue) v).getInstance()));
        }
        for (Object o : heap.getGCRoots()) {
            if (o instanceof ThreadObjectGCRoot) {
                StringBuilder b = new StringBuilder("thread " + goid((ThreadObjectGCRoot) o));
                for (StackTraceElement e : ((ThreadObjectGCRoot) o).getStackTrace())
                    b.append(" " + e.getClassName() + "." + e.getMethodName() + ":" + e.getLineNumber());
                out.println(b);
            } else if (o instanceof JavaFrameGCRoot) {
                JavaFrameGCRoot f = (JavaFrameGCRoot) o;
                out.println("local " + goid(f.getThreadGCRoot()) + " " + f.getFrameNumber() + " " + id(((GCRoot) f).getInstance()));
            }
        }
        for (Object o : heap.getAllClasses()) {
            JavaClass c = (JavaClass) o;
            for (Object x : c.getInstances()) {
                Instance i = (Instance) x;
                out.println("object " + i.getInstanceId() + " " + i.getSize() + " " + i.getRetainedSize() + " " + references(i) + " "
                            + c.getName());
            }
        }
        out.flush();
    }
}
