import com.fasterxml.jackson.databind.ObjectMapper;
import com.jayway.jsonpath.Configuration;
import com.jayway.jsonpath.JsonPath;
import com.jayway.jsonpath.spi.json.JacksonJsonProvider;
import com.jayway.jsonpath.spi.mapper.JacksonMappingProvider;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A line in: [path, document]. A line out: {"value": ...} or {"error": class, "message": text}, each with "definite" if the path compiled. */
public final class Jayway {
    public static void main(String[] arguments) throws Exception {
        ObjectMapper mapper = new ObjectMapper();
        Configuration configuration =
            Configuration.builder().jsonProvider(new JacksonJsonProvider()).mappingProvider(new JacksonMappingProvider()).build();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            List<?> pair = mapper.readValue(line, List.class);
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                JsonPath path = JsonPath.compile((String) pair.get(0));
                answer.put("definite", path.isDefinite());
                answer.put("value", path.read(pair.get(1), configuration));
            } catch (RuntimeException error) {
                answer.put("error", error.getClass().getSimpleName());
                answer.put("message", String.valueOf(error.getMessage()));
            }
            out.println(mapper.writeValueAsString(answer));
        }
        out.flush();
    }
}
